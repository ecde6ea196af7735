package feed

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// wish is what exactly is asked for.
type wish struct {
	url  string
	sum  gate.Digest // "" when nothing says it
	size int64       // 0 when nothing says it
}

// wanted finds out what the checksum must be, and for a repomd.xml what it names.
func (a asker) wanted(ctx context.Context, feed Feed) (wish, error) {
	w := wish{url: feed.URL}
	switch {
	case strings.Contains(feed.SHA256, "://"):
		text, err := a.small(ctx, feed, feed.SHA256, maxSumBytes)
		if err != nil {
			return w, fmt.Errorf("reading the checksum: %w", err)
		}
		sum, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
		sum, _, _ = strings.Cut(sum, "\n")
		w.sum = gate.Digest("sha256:" + strings.ToLower(strings.TrimSpace(sum)))
		if !w.sum.Valid() {
			return w, fmt.Errorf("%s does not begin with a SHA-256: %w", withoutQuery(feed.SHA256), gate.ErrInvalid)
		}
	case feed.SHA256 != "":
		w.sum = gate.Digest("sha256:" + strings.ToLower(feed.SHA256))
	}
	if !feed.isRepomd() {
		return w, nil
	}
	text, err := a.small(ctx, feed, feed.URL, maxRepomdBytes)
	if err != nil {
		return w, err
	}
	if got := gate.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(text))); w.sum != "" && got != w.sum {
		return w, fmt.Errorf("%s has the checksum %s, want %s: %w", withoutQuery(feed.URL), got, w.sum, gate.ErrIntegrity)
	}
	return named(feed.URL, text)
}

// maxSumBytes bounds a file with a checksum, maxRepomdBytes a repomd.xml, which has some
// kilobytes.
const maxSumBytes, maxRepomdBytes = 4 << 10, 4 << 20
