package redistest

import (
	"context"
	"errors"
	"net"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// TestEndDiallers: a client whose server was away leaves nothing behind. Without
// endDiallers its dialler sleeps on for a second.
func TestEndDiallers(t *testing.T) {
	before := goleak.IgnoreCurrent()
	client := goredis.NewClient(&goredis.Options{
		Addr: "127.0.0.1:1", PoolSize: 1, MaxRetries: -1, DialerRetries: 1,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("away") },
	})
	for range 5 { // more failures than connections make the pool look by itself
		if err := client.Ping(t.Context()).Err(); err == nil {
			t.Fatal("the server answered")
		}
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	endDiallers()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
