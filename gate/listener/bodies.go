package listener

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// ownPlaces is how many bodies of one connection may be arriving whatever
	// the others do. A body of a few KiB arrives within a millisecond, so that
	// they take thousands a second.
	ownPlaces = 4
	// firstBuffer is where a body begins; its buffer doubles as it arrives.
	// Reviews of Pods and deliveries have 2 to 20 KiB.
	firstBuffer = 4 << 10
	// classes is how many sizes of buffers there are, each twice the one before,
	// up to 8 MiB. Buffers are used again, so that bodies that come and go leave
	// no garbage beyond what may be held.
	classes = 12
)

// Bodies bounds the bodies that the requests of a server hold, in bytes, and
// how many of them are arriving. What is counted is the memory that is taken,
// and that grows with what has arrived, never with what is announced. When
// there is no room, the body makes room that has been arriving longest; one
// that has arrived whole keeps its bytes until it is released.
type Bodies struct {
	budget int64
	places int                // beyond those that each connection has
	spare  [classes]sync.Pool // of *[]byte, by class

	mu       sync.Mutex
	held     int64
	taken    int        // of places
	arriving *list.List // of *Body, the oldest first
}

// NewBodies allows budget bytes, and beyond a few of each connection places
// bodies that are arriving.
func NewBodies(budget int64, places int) *Bodies {
	return &Bodies{budget: budget, places: places, arriving: list.New()}
}

// Held is how many bytes are taken.
func (b *Bodies) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Body is one body. Its fields are guarded by of.mu but for text, which belongs
// to who reads.
type Body struct {
	of      *Bodies
	text    []byte
	held    int64
	place   *list.Element // nil when it has arrived or made room
	shared  bool          // the place is none of the connection's own
	gone    bool          // it has made room
	since   time.Time
	conn    *connection
	control *http.ResponseController
	done    func()
}

// Read reads a body of at most limit bytes whole. Errors: gate.ErrBusy when
// there is no room, or when the body took so long that it had to make room for
// another; an *http.MaxBytesError over the limit; others are those of the
// connection. After a nil error the body must be released, which also ends the
// work on the request.
func (b *Bodies) Read(w http.ResponseWriter, r *http.Request, limit int64) (*Body, error) {
	body := &Body{of: b, since: time.Now(), conn: connectionOf(r.Context()), control: http.NewResponseController(w)}
	body.conn.begin()
	if !b.enter(body) {
		body.conn.fault()
		return nil, fmt.Errorf("reading a body: %d are arriving already: %w", b.places, gate.ErrBusy)
	}
	if body.conn != nil {
		r.Body = useful{r.Body, &body.conn.pace}
	}
	err := body.fill(http.MaxBytesReader(w, r.Body, limit))
	if b.leave(body) { // also when its end came at that moment: its connection is lost
		err = fmt.Errorf("reading a body: it has made room for another: %w", gate.ErrBusy)
	}
	if err != nil {
		body.Release()
		return nil, err
	}
	body.done = Working(r.Context())
	return body, nil
}

// Bytes is the body; it must not be used after Release.
func (body *Body) Bytes() []byte { return body.text }

// Release gives back what the body holds. Calling it again does nothing.
func (body *Body) Release() {
	b := body.of
	b.mu.Lock()
	b.held -= body.held
	body.held = 0
	b.mu.Unlock()
	b.keep(body.text)
	body.text = nil
	if body.done != nil {
		body.done()
	}
}

// fill reads until the end.
func (body *Body) fill(r io.Reader) error {
	for {
		if len(body.text) == cap(body.text) {
			if err := body.grow(); err != nil {
				return err
			}
		}
		n, err := r.Read(body.text[len(body.text):cap(body.text)])
		body.text = body.text[:len(body.text)+n]
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var errNoRoom = fmt.Errorf("reading a body: all bodies together hold too much: %w", gate.ErrBusy)

// grow goes to a buffer of the next size.
func (body *Body) grow() error {
	class := 0
	for classSize(class) <= int64(cap(body.text)) {
		class++
	}
	size := classSize(class)
	if !body.of.take(body, size-int64(cap(body.text))) {
		return errNoRoom
	}
	var larger []byte
	if class < classes {
		if spare, ok := body.of.spare[class].Get().(*[]byte); ok {
			larger = *spare
		}
	}
	if int64(cap(larger)) != size {
		larger = make([]byte, 0, size)
	}
	larger = append(larger[:0], body.text...)
	body.of.keep(body.text)
	body.text = larger
	return nil
}

func classSize(class int) int64 { return firstBuffer << class }

// keep puts a buffer of one of the sizes aside for the next body.
func (b *Bodies) keep(text []byte) {
	for class := range classes {
		if classSize(class) == int64(cap(text)) {
			spare := text // only this moves to the heap
			b.spare[class].Put(&spare)
			return
		}
	}
}

// enter gives a body a place.
func (b *Bodies) enter(body *Body) bool {
	if body.conn.gone() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if body.conn == nil || body.conn.arriving.Load() >= ownPlaces {
		body.shared = true
		if b.taken >= b.places && !b.makeRoom(body, func(other *Body) bool { return other.shared }) {
			return false
		}
		b.taken++
	}
	if body.conn != nil {
		body.conn.arriving.Add(1)
	}
	body.place = b.arriving.PushBack(body)
	return true
}

// leave ends that a body is arriving, and reports whether it has made room.
func (b *Bodies) leave(body *Body) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.vacate(body)
	return body.gone
}

func (b *Bodies) vacate(body *Body) {
	if body.place == nil {
		return
	}
	b.arriving.Remove(body.place)
	body.place = nil
	if body.shared {
		b.taken--
	}
	if body.conn != nil {
		body.conn.arriving.Add(-1)
	}
}

// take adds n bytes to what a body holds.
func (b *Bodies) take(body *Body, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.held+n > b.budget {
		if body.gone || !b.makeRoom(body, func(other *Body) bool { return other.held > 0 }) {
			return false
		}
	}
	b.held += n
	body.held += n
	return true
}

// makeRoom ends the body that has been arriving longest, is not the one that
// needs the room, and is useful; false when there is none. Its reader fails at
// once, so that its memory is free as soon as it runs.
func (b *Bodies) makeRoom(forBody *Body, useful func(*Body) bool) bool {
	now := time.Now()
	for e := b.arriving.Front(); e != nil; e = e.Next() {
		body := e.Value.(*Body)
		if now.Sub(body.since) < settled {
			return false // all that follow are younger
		}
		if body == forBody || !useful(body) {
			continue
		}
		// While the body has a place its handler cannot return, so that the
		// ResponseWriter is still its own.
		if body.control.SetReadDeadline(now.Add(-time.Second)) != nil {
			continue
		}
		body.conn.fault()
		body.gone = true
		b.vacate(body)
		b.held -= body.held
		body.held = 0
		return true
	}
	return false
}
