package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// changeKinds are the kinds of change by their numbers in common.lua.
var changeKinds = [...]gate.ChangeKind{gate.ChangeRecord, gate.ChangeJob, gate.ChangeTag, gate.ChangeSetting}

func changeCode(k gate.ChangeKind) int { return slices.Index(changeKinds[:], k) }

// maxChanges bounds one answer of Changes.
const maxChanges = 10_000

// Changes returns up to limit changes after a sequence number, at most 10,000.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]gate.Change, int64, error) {
	what := fmt.Sprintf("reading changes after %d", after)
	if after < 0 || limit <= 0 {
		return nil, 0, fmt.Errorf("%s: up to %d: %w", what, limit, gate.ErrInvalid)
	}
	answer, err := s.run(ctx, scriptChanges, args{"after": after, "limit": min(limit, maxChanges)})
	list, ok := answer.([]any)
	if err == nil && (!ok || len(list) != 3) {
		err = fmt.Errorf("script answered %T", answer)
	}
	if err != nil {
		return nil, 0, s.failedIn(ctx, what, err)
	}
	entries, ok := list[0].([]any)
	if !ok {
		return nil, 0, fmt.Errorf("%s: the feed goes from %s to %s, and a change of that number is not in it: %w",
			what, text(list, 1), text(list, 2), gate.ErrConflict)
	}
	var changes []gate.Change
	next := after
	for _, e := range entries {
		c, err := decodeChange(e)
		if err != nil {
			return nil, 0, s.failed(what, err)
		}
		next = c.Seq
		if c.Kind != "" { // of a newer version; nothing that this one knows has changed
			changes = append(changes, c)
		}
	}
	return changes, next, nil
}

// decodeChange reads an entry of the stream: its id, "SEQ-0", and its fields.
// The sequence follows the time, so that it also says when.
func decodeChange(entry any) (gate.Change, error) {
	pair, ok := entry.([]any)
	if !ok || len(pair) != 2 {
		return gate.Change{}, fmt.Errorf("an entry of the feed is %T", entry)
	}
	number, _, _ := strings.Cut(text(pair, 0), "-")
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return gate.Change{}, err
	}
	c := gate.Change{Seq: seq, At: timeOf(seq)}
	fields, _ := pair[1].([]any)
	for i := 0; i+1 < len(fields); i += 2 {
		switch text(fields, i) {
		case "k":
			if code, err := strconv.Atoi(text(fields, i+1)); err == nil && code >= 0 && code < len(changeKinds) {
				c.Kind = changeKinds[code]
			}
		case "n":
			c.Key = text(fields, i+1)
		case "h":
			c.History, _ = strconv.ParseInt(text(fields, i+1), 10, 64)
		}
	}
	return c, nil
}
