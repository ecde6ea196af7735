package redis

import (
	"context"
	"crypto/hmac"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// resignEvery is how often a process looks whether keys are being rotated. It is
// longer than keyFileEvery, so that a second look finds what a process that had
// not read the file again has signed since the first.
const resignEvery = 15 * time.Second

// resignValues signs with the first MAC key what the second has signed, while
// the file holds two, until a look finds nothing more: then the second can go.
// Every process does it, which is harmless: content and stamps stay.
func (s *Store) resignValues(ctx context.Context) {
	tick := time.NewTicker(resignEvery)
	defer tick.Stop()
	var done []byte // the pair of keys for which nothing is left to do
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		keys := s.seals.file.keys()
		if pair := slices.Concat(keys...); len(keys) == 2 && !hmac.Equal(pair, done) {
			n, err := s.resign(ctx)
			log := s.options.Logger
			switch {
			case ctx.Err() != nil:
			case err != nil:
				log.Warn("signing stored values with the first MAC key", "error", s.failed("scanning the store", err))
			case n > 0:
				log.Info("stored values signed with the first MAC key", "values", n)
			default:
				done = pair
				log.Info("all stored values are signed with the first MAC key, the second can be removed")
			}
		}
	}
}

// resign goes over everything that is signed and reports how many values the
// second key had signed.
func (s *Store) resign(ctx context.Context) (n int, err error) {
	err = s.eachNode(ctx, func(ctx context.Context, node *redis.Client) error {
		for pattern, sign := range map[string]func(context.Context, string) (int, error){
			s.keys.records():                     s.resignRecord,
			escape(s.keys.tags()) + "*":          s.resignValue,
			escape(s.keys.prefix) + ":setting:*": s.resignValue,
		} {
			err := scanNode(ctx, node, pattern, func(keys []string) error {
				for _, key := range keys {
					signed, err := sign(ctx, key)
					if n += signed; err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// resignValue signs a string. Its place is its key.
func (s *Store) resignValue(ctx context.Context, key string) (int, error) {
	stored, err := scriptValue.Run(ctx, s.client, []string{key}).Text()
	if err != nil {
		return 0, err
	}
	return s.resigned(key, stored, func(fresh string) error {
		return scriptSwap.Run(ctx, s.client, []string{key}, stored, fresh).Err()
	})
}

// resignRecord signs a record and its locations.
func (s *Store) resignRecord(ctx context.Context, key string) (int, error) {
	n, err := s.resignValue(ctx, key)
	if err != nil {
		return n, err
	}
	d := s.keys.digestOf(key)
	answer, err := scriptLoad.Run(ctx, s.client, []string{key, s.keys.locations(d)}).Slice()
	if err != nil {
		return n, err
	}
	for i := 1; i+1 < len(answer); i += 2 {
		at, stored := text(answer, i), text(answer, i+1)
		signed, err := s.resigned(s.placeOf(d, at), stored, func(fresh string) error {
			return scriptField.Run(ctx, s.client, []string{s.keys.locations(d)}, at, stored, fresh).Err()
		})
		if n += signed; err != nil {
			return n, err
		}
	}
	history, err := s.resignHistory(ctx, d)
	return n + history, err
}

// resigned writes a value with the signature of the first key, if the second
// has signed it, and reports 1. What nobody has signed is left to its readers.
func (s *Store) resigned(place, stored string, write func(fresh string) error) (int, error) {
	fresh, err := s.seals.resign(place, stored)
	if errors.Is(err, errForged) || fresh == stored {
		return 0, nil
	}
	return 1, errors.Join(err, write(fresh))
}
