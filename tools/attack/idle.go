package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// idle opens connections that say nothing more: after nothing at all, after the
// handshake of TLS, or in the middle of a body.
func idle(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("idle", "http://127.0.0.1:8080/webhooks/prod")
	connections := f.Int("connections", 3000, "connections")
	after := f.String("after", "body", "what each does before it falls silent: nothing, handshake (https), headers, body")
	announced := f.Int("announced", 1_000_000, "bytes of the body that each announces")
	sent := f.Int("sent", 900_000, "bytes of it that each sends")
	header := f.String("header", "", "a further header, such as \"X-Signature: sha256=...\"")
	u, err := f.parse(args)
	if err != nil {
		return err
	}
	return f.run(ctx, out, func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, *f.length)
		defer cancel()
		var open, closed atomic.Int64
		var wg sync.WaitGroup
		slots := make(chan struct{}, 100) // that connect at once
		for range *connections {
			wg.Go(func() {
				slots <- struct{}{}
				conn, err := silent(ctx, u, *after, *header, *announced, *sent)
				<-slots
				if err != nil {
					closed.Add(1)
					return
				}
				defer conn.Close()
				open.Add(1)
				_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
				stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
				defer stop()
				_, _ = io.Copy(io.Discard, conn)
				if ctx.Err() == nil {
					closed.Add(1)
				}
			})
		}
		wg.Wait()
		return fmt.Sprintf("idle: %d connections opened, %d closed by the server", open.Load(), closed.Load()), nil
	})
}

// silent makes one connection and does what comes before the silence.
func silent(ctx context.Context, u *url.URL, after, header string, announced, sent int) (conn net.Conn, err error) {
	if u.Scheme == "https" && after != "nothing" {
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}} //nolint:gosec // loopback
		if after != "handshake" {
			dialer.Config.NextProtos = nil
		}
		conn, err = dialer.DialContext(ctx, "tcp", u.Host)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	}
	if err != nil || after == "nothing" || after == "handshake" {
		return conn, err
	}
	if header != "" {
		header += "\r\n"
	}
	_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n", u.Path, u.Host, header, announced)
	if err == nil && after == "body" {
		_, err = conn.Write(make([]byte, min(sent, announced)))
	}
	if err != nil {
		conn.Close()
	}
	return conn, err
}
