package listener

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// writer is a ResponseWriter whose read deadline ends the body of its request.
type writer struct {
	*httptest.ResponseRecorder
	body *io.PipeReader
}

func (w writer) SetReadDeadline(at time.Time) error {
	if !at.After(time.Now()) {
		return w.body.CloseWithError(errors.New("deadline exceeded"))
	}
	return nil
}

// request is one that has announced 2 MB; what is written to the pipe arrives.
func request(t *testing.T, conn *connection) (http.ResponseWriter, *http.Request, *io.PipeWriter) {
	t.Helper()
	r, w := io.Pipe()
	req := httptest.NewRequestWithContext(context.WithValue(t.Context(), connectionKey{}, conn), http.MethodPost, "/", r)
	req.ContentLength = 2_000_000
	t.Cleanup(func() { w.Close() })
	return writer{httptest.NewRecorder(), r}, req, w
}

func connected() *connection {
	return &connection{served: true, Conn: nowhere{}, of: &Connections{freed: make(chan struct{}, 1), open: map[*connection]struct{}{}}}
}

// nowhere is what is below a connection in these tests.
type nowhere struct{ net.Conn }

func (nowhere) Close() error { return nil }

// stall begins bodies that send one byte and then nothing.
func stall(t *testing.T, b *Bodies, conn *connection, n int) (ended chan error) {
	t.Helper()
	ended = make(chan error, n)
	for range n {
		w, r, body := request(t, conn)
		go func() { _, err := b.Read(w, r, 4<<20); ended <- err }()
		go func() { _, _ = body.Write([]byte("{")) }()
	}
	synctest.Wait()
	return ended
}

// whole reads a body that arrives at once.
func whole(t *testing.T, b *Bodies, conn *connection, size int) (*Body, error) {
	t.Helper()
	w, r, body := request(t, conn)
	r.ContentLength = int64(size)
	go func() { _, _ = io.WriteString(body, strings.Repeat("x", size)); body.Close() }()
	return b.Read(w, r, 4<<20)
}

// TestBodies_growWithWhatArrives: what is announced costs nothing.
func TestBodies_growWithWhatArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBodies(100<<20, 1000)
		stall(t, b, nil, 500)
		if held := b.Held(); held > 500*firstBuffer {
			t.Errorf("500 bodies of one byte hold %d bytes, want %d at most", held, 500*firstBuffer)
		}
	})
}

// TestBodies_stalledMakeRoom: a flood of bodies that never end takes no place
// from one that arrives, on its own connection or on theirs.
func TestBodies_stalledMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBodies(1<<20, 20)
		theirs := connected()
		ended := stall(t, b, theirs, 100)
		full := 0
		for len(ended) > 0 {
			if err := <-ended; !errors.Is(err, gate.ErrBusy) {
				t.Fatalf("beyond the places: got %v, want ErrBusy", err)
			}
			full++
		}
		if full != 100-20-ownPlaces {
			t.Errorf("%d of 100 were refused at once, want all but %d", full, 20+ownPlaces)
		}
		body, err := whole(t, b, connected(), 20_000)
		if err != nil || string(body.Bytes()) != strings.Repeat("x", 20_000) {
			t.Fatalf("a body on a connection of its own: %v", err)
		}
		body.Release()
		if _, err := whole(t, b, theirs, 20_000); !errors.Is(err, gate.ErrBusy) {
			t.Errorf("a further one on the flooded connection, at once: got %v, want ErrBusy", err)
		}
		time.Sleep(settled)
		body, err = whole(t, b, theirs, 20_000)
		if err != nil {
			t.Fatalf("a further one on the flooded connection, later: %v", err)
		}
		body.Release()
		if err := <-ended; !errors.Is(err, gate.ErrBusy) {
			t.Errorf("the body that made room: got %v, want ErrBusy", err)
		}
	})
}

// TestBodies_floodIsClosed: a connection that has never had a request served is
// closed as soon as it begins more bodies than there are places for.
func TestBodies_floodIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBodies(1<<20, 20)
		flood, other := connected(), connected()
		flood.served = false
		stall(t, b, flood, 20+ownPlaces)
		if flood.gone() {
			t.Error("it was closed although there were places for its bodies")
		}
		stall(t, b, other, ownPlaces+1)
		if other.gone() {
			t.Error("a connection that was served was closed")
		}
		stall(t, b, flood, 1)
		if !flood.gone() {
			t.Error("it is still open")
		}
		if _, err := whole(t, b, flood, 10); !errors.Is(err, gate.ErrBusy) {
			t.Errorf("a request of a connection that is closed: got %v, want ErrBusy", err)
		}
	})
}

// TestBodies_budget: bytes are counted, stalled ones make room, those that have
// arrived do not, and all are given back.
func TestBodies_budget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBodies(100_000, 20)
		first, err := whole(t, b, nil, 60_000)
		if err != nil {
			t.Fatal(err)
		}
		ended := stall(t, b, nil, 9) // of firstBuffer each: no room is left
		time.Sleep(settled)
		second, err := whole(t, b, nil, 30_000)
		if err != nil {
			t.Fatalf("beside bodies that stall: %v", err)
		}
		if held := b.Held(); held > 100_000 {
			t.Errorf("%d bytes are held, want 100000 at most", held)
		}
		if _, err := whole(t, b, nil, 60_000); !errors.Is(err, gate.ErrBusy) {
			t.Errorf("beyond what has arrived: got %v, want ErrBusy", err)
		}
		if string(first.Bytes()) != strings.Repeat("x", 60_000) {
			t.Error("a body that had arrived has changed")
		}
		first.Release()
		first.Release()
		second.Release()
		for len(ended) > 0 {
			<-ended
		}
		if held := b.Held(); held > int64(b.arriving.Len()*firstBuffer) {
			t.Errorf("%d bytes are held by %d bodies", held, b.arriving.Len())
		}
	})
}

func TestBodies_errors(t *testing.T) {
	b := NewBodies(1<<20, 20)
	var tooLarge *http.MaxBytesError
	for name, c := range map[string]struct {
		body      io.Reader
		announced int64
		is        func(error) bool
	}{
		"empty":     {strings.NewReader(""), 0, func(err error) bool { return err == nil }},
		"unknown":   {strings.NewReader(strings.Repeat("x", 1000)), -1, func(err error) bool { return err == nil }},
		"at_limit":  {strings.NewReader(strings.Repeat("x", 2000)), -1, func(err error) bool { return err == nil }},
		"too_large": {strings.NewReader(strings.Repeat("x", 2001)), -1, func(err error) bool { return errors.As(err, &tooLarge) }},
		"broken": {io.MultiReader(strings.NewReader("x"), iotestErr{}), 50, func(err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", c.body)
			r.ContentLength = c.announced
			body, err := b.Read(httptest.NewRecorder(), r, 2000)
			if !c.is(err) {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				body.Release()
			}
			if held := b.Held(); held != 0 {
				t.Errorf("%d bytes are held afterwards", held)
			}
		})
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestThinner(t *testing.T) {
	var n Thinner
	now := time.Unix(1000, 0)
	for i := range 1000 {
		if left, ok := n.Next("503", now.Add(time.Duration(i)*time.Millisecond)); ok != (i < written) || left != 0 {
			t.Fatalf("line %d: got %d, %t", i, left, ok)
		}
	}
	if left, ok := n.Next("503", now.Add(thinnedIn)); !ok || left != 1000-written {
		t.Errorf("later: got %d, %t, want %d left out", left, ok, 1000-written)
	}
	if _, ok := n.Next("401", now); !ok {
		t.Error("another key was thinned")
	}
}
