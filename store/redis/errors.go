package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
)

// failed gives an error of the client or the server its place in the closed set
// of gate. Nothing of what a server says is taken for an answer: an error is
// never "not found".
func (s *Store) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := gate.Classify(err); ok && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, err)
	}
	switch fault := faultOf(err); {
	case s.closed.Load() || errors.Is(err, redis.ErrClosed):
		err = fmt.Errorf("store is closed: %w", gate.ErrStoreUnavailable)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: %w", gate.ErrTimeout, err)
	case isWrongType(err):
		s.types.suspect()
		err = &gate.StoreFault{Words: "a key in redis holds a value of another type", Err: fmt.Errorf("the log and /readyz name it: %w: %w", gate.ErrStoreUnavailable, err)}
	case fault != nil:
		err = &gate.StoreFault{Words: fault.words, Err: fmt.Errorf("%w: %w", fault.class, err)}
	default:
		err = fmt.Errorf("%w: %w", gate.ErrStoreUnavailable, err)
	}
	s.metrics.failed(err)
	return fmt.Errorf("%s: %w", what, err)
}

// fault is what a server says instead of doing something.
type fault struct {
	says  []string // how its error begins, or what is in it
	words string   // for everybody
	class error
}

// Without disk, memory, or the replicas that it asks for, and as a replica, a
// server still answers what only reads. redis.conf(5) names the settings.
var (
	full   = fmt.Errorf("%w: %w", gate.ErrStoreUnavailable, gate.ErrResource)
	faults = []fault{
		{[]string{"OOM"}, "redis is out of memory (maxmemory)", full},
		{[]string{"MISCONF"}, "redis cannot write to its disk and takes no writes (stop-writes-on-bgsave-error)", full},
		{[]string{"READONLY"}, "redis is a replica and takes no writes (replica-read-only)", gate.ErrStoreUnavailable},
		{[]string{"NOREPLICAS"}, "redis lacks the replicas without which it takes no writes (min-replicas-to-write)", gate.ErrStoreUnavailable},
		// The second is Redis 7.0, the third 7.2 and later, and Valkey.
		{
			[]string{"NOPERM", "The user executing the script can't", "ACL failure in script"},
			"redis denies a permission to the user of store.username; docs/redis.md lists the permissions", gate.ErrStoreUnavailable,
		},
		{[]string{"WRONGPASS", "NOAUTH"}, "redis refuses the credentials of store.username and store.passwordFile", gate.ErrStoreUnavailable},
	}
)

// faultOf finds the fault that an error of a server names, nil for none. Redis
// before 7 puts the error of a command in a script behind words of its own.
func faultOf(err error) *fault {
	text := err.Error()
	for i, f := range faults {
		for _, says := range f.says {
			if redis.HasErrorPrefix(err, says) || strings.Contains(text, "-"+says+" ") || strings.Contains(says, " ") && strings.Contains(text, says) {
				return &faults[i]
			}
		}
	}
	return nil
}

// failedIn is failed for a call under ctx: when ctx has ended, the error is a time-out,
// whatever the client returned: it reports a deadline on the connection as one of the
// network.
func (s *Store) failedIn(ctx context.Context, what string, err error) error {
	var timeout net.Error
	if ended := ctx.Err(); err != nil && ended != nil && !s.closed.Load() && (errors.Is(err, ended) || (errors.As(err, &timeout) && timeout.Timeout())) {
		return fmt.Errorf("%s: %w: %w", what, gate.ErrTimeout, ended)
	}
	return s.failed(what, err)
}
