package redis_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// TestTLSToAPlainPort: whatever such a port makes of a TLS handshake, the error
// says that it is TLS, and how to name the right one.
func TestTLSToAPlainPort(t *testing.T) {
	for name, answer := range map[string]func(net.Conn){
		"silent":  func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"closes":  func(net.Conn) {},
		"replies": func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); _, _ = c.Write([]byte("-ERR unknown command\r\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantsTLS(t, plainPort(t, answer))
		})
	}
	t.Run("redis", func(t *testing.T) {
		server := servers.Plain(t)
		wantsTLS(t, server.Addr())
	})
}

func wantsTLS(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := redis.Open(ctx, store.Config{URL: "rediss://" + addr, Prefix: redistest.Prefix(), MACKeyFile: keyFile(t, strings.Repeat("k", 64))}, redis.Options{})
	if err == nil {
		_ = s.Close()
		t.Fatal("rediss:// on a plain port: no error")
	}
	for _, word := range []string{addr, "TLS", "rediss://", "tls-port", "redis:// if it is plain"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in %q", word, err)
		}
	}
	if !errors.Is(err, gate.ErrStoreUnavailable) && !errors.Is(err, gate.ErrTimeout) {
		t.Errorf("got %v of no class", err)
	}
}

// plainPort is a server that does one thing with each connection.
func plainPort(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				answer(c)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); open.Wait() })
	return l.Addr().String()
}
