package listener

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// torrent is a connection on which as many bytes have arrived as are read.
type torrent struct{ nowhere }

func (torrent) Read(p []byte) (int, error) { return len(p), nil }

// strangers are connections of one server on which bytes wait.
func strangers(n int) []*connection {
	of := Bound(&http.Server{}, n)
	all := make([]*connection, n)
	for i := range all {
		all[i] = &connection{Conn: torrent{}, of: of, pace: pace{turns: of.turns}}
		of.open[all[i]] = struct{}{}
	}
	return all
}

// takeIn reads until the time has passed, in records of TLS, and returns how
// much; what comes to 4 MiB has failed.
func takeIn(c *connection, during time.Duration) (total int) {
	p := make([]byte, 16<<10)
	for end := time.Now().Add(during); time.Now().Before(end) && total < 4<<20; {
		n, err := c.Read(p)
		total += n
		if err != nil {
			return total
		}
	}
	return total
}

// arrive reads n bytes of a connection, each of which is at once read as part of
// a body, and returns how long it took.
func arrive(c *connection, n int) time.Duration {
	start := time.Now()
	p := make([]byte, 16<<10)
	for n > 0 {
		got, _ := c.Read(p[:min(n, len(p))])
		_, _ = useful{io.NopCloser(bytes.NewReader(p[:got])), &c.pace}.Read(p)
		n -= got
	}
	return time.Since(start)
}

// serveOne has a request served.
func serveOne(c *connection) {
	Working(context.WithValue(context.Background(), connectionKey{}, c))()
}

// TestPace_crowd: what a crowd sends is not taken in at once, and a caller
// beside it has a handshake and a review read soon, whether it was served or not.
func TestPace_crowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := strangers(102)
		crowd, fresh, known := all[:100], all[100], all[101]
		const during = 50 * time.Millisecond
		taken := make(chan int, len(crowd))
		for _, c := range crowd {
			go func() { taken <- takeIn(c, during) }()
		}
		time.Sleep(time.Millisecond)
		serveOne(known)
		if took := arrive(known, 1<<20); took > 0 {
			t.Errorf("a connection that was served waited %s", took)
		}
		start := time.Now()
		_, _ = io.ReadFull(fresh, make([]byte, portion)) // its handshake is waste
		arrive(fresh, 5<<10)
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("a new connection waited %s", took)
		}
		total := 0
		for range crowd {
			total += <-taken
		}
		if total > 600<<10 {
			t.Errorf("%d bytes of a crowd were taken in within %s, want 6 KiB of each at most", total, during)
		}
	})
}

// TestPace_honest: alone, a new connection loses next to no time.
func TestPace_honest(t *testing.T) {
	for name, size := range map[string]int{"small": 5 << 10, "large": 7 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := strangers(1)[0]
				_, _ = io.ReadFull(c, make([]byte, 4<<10)) // a handshake
				if took := arrive(c, size); took > 10*time.Millisecond {
					t.Errorf("%d bytes took %s", size, took)
				}
			})
		})
	}
}

// TestPace_waste: a connection that sends and has nothing served is read ever
// more slowly, also when it was served before; being served forgives it.
func TestPace_waste(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := strangers(1)[0]
		serveOne(c)
		start := time.Now()
		for range 36 { // records; the buffers of HTTP2 are 512 KiB
			_, _ = io.ReadFull(c, make([]byte, 16<<10))
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("bytes that lie in buffers waited %s", took)
		}
		if n := takeIn(c, 10*time.Second); n > 1<<20 {
			t.Errorf("%d more bytes were taken in within 10 s, want 1 MiB at most", n)
		}
		failing := strangers(1)[0]
		serveOne(failing)
		failing.fault()
		if n := takeIn(failing, 10*time.Second); n > 1<<20 {
			t.Errorf("%d bytes of one whose body failed were taken in within 10 s, want 1 MiB at most", n)
		}
		serveOne(failing)
		if failing.pace.failed.Load() {
			t.Error("a request was served, and its body still counts as failed")
		}
		for range 10 {
			serveOne(c)
		}
		if took := arrive(c, 1<<20); took > 0 {
			t.Errorf("afterwards it still waited %s", took)
		}
		// Headers of the largest size that the public listener takes.
		start = time.Now()
		for range 1000 {
			_, _ = io.ReadFull(c, make([]byte, 16<<10))
			serveOne(c)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("1,000 requests with large headers waited %s", took)
		}
	})
}

// TestPace_gone: a connection that was closed waits for nothing more.
func TestPace_gone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := strangers(1)[0]
		takeIn(c, 10*time.Second)
		c.drop()
		start := time.Now()
		_, _ = c.Read(make([]byte, 1))
		if took := time.Since(start); took > 0 {
			t.Errorf("it waited %s", took)
		}
	})
}

// TestServing_body: what a handler reads is no waste.
func TestServing_body(t *testing.T) {
	c := strangers(1)[0]
	c.pace.waste.Store(3000)
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), connectionKey{}, c), http.MethodPost, "/", bytes.NewReader(make([]byte, 2900)))
	Serving(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if waste := c.pace.waste.Load(); waste != 100 {
			t.Errorf("after 2,900 of 3,000 bytes were read %d are waste", waste)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
}

// TestConnections_faults: a connection that was served is closed when its bodies
// fail again and again, and not while its requests are served between.
func TestConnections_faults(t *testing.T) {
	c := strangers(1)[0]
	serveOne(c)
	for range 10 * maxFaults {
		c.fault()
		serveOne(c)
	}
	for range maxFaults {
		c.fault()
	}
	if c.gone() {
		t.Fatal("it was closed too early")
	}
	c.fault()
	if !c.gone() {
		t.Error("it is still open")
	}
}
