package lookup

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate/agree"
)

// interrupted is a store in which another replica writes between a read and the
// first write.
type interrupted struct {
	agree.Settings
	other func()
}

func (s *interrupted) PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error) {
	if other := s.other; other != nil {
		s.other = nil
		other()
	}
	return s.Settings.PutSetting(ctx, name, value, version)
}

// TestEstablished_race: of two replicas that share what they know at the same
// moment, neither loses what it knows.
func TestEstablished_race(t *testing.T) {
	store := agree.NewOwnStore(time.Now)
	replica := func(s agree.Settings) *Established {
		return NewEstablished([]string{"default"}, s, slog.New(slog.DiscardHandler), time.Now)
	}
	other := replica(store)
	other.Note("default", "theirs")
	own := replica(&interrupted{Settings: store, other: func() { other.Flush(t.Context()) }})
	own.Note("default", "ours")
	own.Flush(t.Context())
	third := replica(store)
	third.Flush(t.Context())
	for _, namespace := range []string{"ours", "theirs"} {
		if !third.Has("default", namespace) {
			t.Errorf("Has(%q): got false, want what a replica noted to be stored", namespace)
		}
	}
	if !own.Has("default", "theirs") {
		t.Error(`Has("theirs"): got false at the replica that met the conflict`)
	}
}
