package redis_test

import (
	"context"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// TestMarksOfWhatIsNotBelieved: a record or location that is forged, put back or another
// image's has no mark, so that it is read and told; with the value the mark comes back.
func TestMarksOfWhatIsNotBelieved(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{})
	c := config(t, server.URL())
	s := open(t, c, redis.Options{})
	raw, err := goredis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(raw)
	t.Cleanup(func() { _ = client.Close() })
	a := attacker{t, client}
	mark := func() gate.Mark {
		t.Helper()
		marks, err := s.Marks(context.Background(), []gate.Digest{honest.digest})
		a.no(err)
		return marks[honest.digest]
	}
	honest.fill(t, s, 1)
	other.fill(t, s, 1)
	spots, others := honest.spots(c.Prefix), other.spots(c.Prefix)
	before := map[string]string{"record": a.get(spots["record"]), "location": a.get(spots["location"])}
	first := mark()
	honest.fill(t, s, 2)
	second := mark()
	if first == 0 || second == 0 || first == second {
		t.Fatalf("marks %d and %d of two states", first, second)
	}
	for _, thing := range []string{"record", "location"} {
		good := a.get(spots[thing])
		bad := map[string]string{
			"forged":   strings.Replace(good, `"b":`, `"b" :`, 1),
			"another":  a.get(others[thing]),
			"nonsense": "1.x.{}",
		}
		if thing == "record" { // a later location has been seen by its own writer alone
			bad["put back"] = before[thing]
		}
		for how, value := range bad {
			a.set(spots[thing], value)
			if got := mark(); got == second || got != 0 && how != "put back" {
				t.Errorf("%s %s: the mark is %d, that of the good one is %d", thing, how, got, second)
			}
			a.set(spots[thing], good)
			if got := mark(); got != second {
				t.Errorf("%s after %s: the mark is %d, want %d", thing, how, got, second)
			}
		}
	}
}
