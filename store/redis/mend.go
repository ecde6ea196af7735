package redis

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// mends are the digests whose stored record is older than one that this process
// has seen: the server has lost a write, or somebody has put the record back.
// What does not fit is asked for again by whoever reads it next.
type mends chan gate.Digest

func (m mends) ask(d gate.Digest) {
	select {
	case m <- d:
	default:
	}
}

// mendTimeout bounds the mending of one record; after a failure the next one waits.
const mendTimeout, mendAgain = 10 * time.Second, time.Second

// mendRecords empties records that this process refuses, so that all processes know as
// little, and ask for the analysis again, which is free. Otherwise those that have not
// seen the later one would keep believing the earlier one, find nothing to do about it,
// and this process would refuse the image for as long.
func (s *Store) mendRecords(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-s.mend:
			call, cancel := context.WithTimeout(ctx, mendTimeout)
			err := s.update(call, "mending", d, nil, func(r *record, _ map[string]gate.LocationState) (*change, error) {
				if r.text == "" || r.Version > 0 {
					return nil, nil // gone, or good again
				}
				return &change{}, nil
			})
			cancel()
			if err == nil || ctx.Err() != nil {
				continue
			}
			s.options.Logger.Warn("a record that is not believed cannot be mended yet", "digest", d, "error", err)
			select { // whoever reads it next asks again
			case <-ctx.Done():
			case <-time.After(mendAgain):
			}
		}
	}
}
