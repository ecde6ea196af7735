// Package servers runs the conformance suite of the store contract on Redis. Each
// package below is one kind of server and nothing else, so that the lines that
// go test prints say on which servers the suite ran:
//
//	ok  	…/store/redis/servers/cluster	9.1s
//
// What store/redis does besides the contract is tested there, with all of them.
package servers

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// How many random histories the suite plays, of rapid's usual 100: a step costs
// round trips here, and SQLite's tests play the same rules in full. Several
// servers run the scripts of one; they differ in who answers.
const (
	OneServer      = 33
	SeveralServers = 12
)

// Main is the TestMain of a kind of server. The command line wins over histories.
func Main(m *testing.M, shared *redistest.Shared, histories int) {
	if err := flag.Set("rapid.checks", strconv.Itoa(histories)); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(shared.Around(redistest.Required(m)))
}

// Run runs the suite on the servers at url, which client reaches as a user that
// may do everything. A crash is that of the process: what it had sent is there,
// what it had not is not.
func Run(t *testing.T, url string, client goredis.UniversalClient) {
	version, err := redistest.Version()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s at %s", version, url)
	key := filepath.Join(t.TempDir(), "mac.key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		clock := storetest.NewClock()
		c := store.Config{URL: url, Prefix: redistest.Prefix(), MACKeyFile: key}
		u := &used{remove: sync.OnceValue(func() error { return redistest.Remove(context.Background(), client, c.Prefix) })}
		open := func() store.Store {
			s, err := redis.Open(context.Background(), c, redis.Options{Clock: clock.Now})
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			u.Store = s
			return u
		}
		t.Cleanup(func() {
			if err := u.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return storetest.Harness{
			Store: open(), Advance: clock.Advance,
			Reopen: func() store.Store {
				if err := u.Store.Close(); err != nil {
					t.Fatal(fmt.Errorf("Close: %w", err))
				}
				return open()
			},
		}
	})
}

// used is a store that leaves nothing behind when it is closed. What the suite
// does after each step of a random history, looking at everything, would take ten
// times as long among the keys of its other cases.
type used struct {
	*redis.Store
	remove func() error
}

// Close implements store.Store.
func (u *used) Close() error { return errors.Join(u.Store.Close(), u.remove()) }
