package feed

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Text is a small feed whose content the caller keeps.
type Text struct {
	Feed Feed
	// Client makes all requests.
	Client *http.Client
	// Now is the clock.
	Now func() time.Time
	// Most bounds it, as it is transferred.
	Most int64

	have held
	sum  gate.Digest
}

// Read asks for the content; changed is false, and there is none, when it is what was read
// last. Errors are those of [Fetcher.Fetch].
func (t *Text) Read(ctx context.Context) (text []byte, changed bool, err error) {
	a := asker{t.Client, t.Now}
	want, err := a.wanted(ctx, t.Feed)
	if err != nil {
		return nil, false, err
	}
	have := t.have
	if want.sum != "" {
		if want.sum == t.sum {
			return nil, false, nil
		}
		have = held{}
	}
	res, same, err := a.get(ctx, t.Feed, want.url, have)
	if err != nil || same {
		return nil, false, err
	}
	defer res.Body.Close()
	var b bytes.Buffer
	sum, _, err := take(ctx, res, want, t.Most, &b, nil)
	if err != nil {
		return nil, false, fmt.Errorf("downloading %s: %w", withoutQuery(want.url), err)
	}
	t.have, t.sum = heldOf(res), sum
	return b.Bytes(), true, nil
}

// Forget has the next Read give the content whether or not it is what was read before.
func (t *Text) Forget() { t.have, t.sum = held{}, "" }
