package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

var _ store.Exporter = (*Store)(nil)

// Position is the sequence of the newest change.
func (s *Store) Position(ctx context.Context) (int64, error) {
	newest, err := s.newestChange(ctx)
	return newest, s.failedIn(ctx, "reading the newest change", err)
}

// exportPage is how many pieces Export reads at a time, with their large values.
const exportPage = 20

// Export calls fn for each piece of a section after a name. It lists the names
// first, about 100 bytes for each.
func (s *Store) Export(ctx context.Context, section store.Section, after string, fn func(store.Piece) error) error {
	what := fmt.Sprintf("exporting %s after %s", gate.Printable(string(section), 40), gate.Quoted(after, 200))
	parts := map[store.Section]struct {
		list func(context.Context) ([]string, error)
		read func(context.Context, []string) ([]store.Piece, error)
	}{
		store.SectionCharges:  {s.chargeNames, s.exportCharges},
		store.SectionQuota:    {s.named(s.keys.scheduler("quota:")), s.exportQuota},
		store.SectionSettings: {s.named(s.keys.setting("")), s.exportSettings},
		store.SectionTags:     {s.named(s.keys.tags()), s.exportTags},
		store.SectionRecords:  {s.recordNames, s.exportRecords},
		store.SectionJobs:     {s.named(s.keys.scheduler("key:")), s.exportJobs},
	}
	part, ok := parts[section]
	if !ok {
		return fmt.Errorf("%s: %w", what, gate.ErrInvalid)
	}
	names, err := part.list(ctx)
	if err != nil {
		return s.failedIn(ctx, what, err)
	}
	slices.Sort(names)
	names = slices.Compact(names) // a scan may name a key twice
	first, found := slices.BinarySearch(names, after)
	if found {
		first++
	}
	for page := range slices.Chunk(names[first:], exportPage) {
		pieces, err := part.read(ctx, page)
		if err != nil {
			return s.failedIn(ctx, what, err)
		}
		for _, p := range pieces {
			p.Section = section
			if err := fn(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// named lists what follows prefix in the names of keys.
func (s *Store) named(prefix string) func(context.Context) ([]string, error) {
	return func(ctx context.Context) (names []string, err error) {
		err = s.eachNode(ctx, func(ctx context.Context, node *redis.Client) error {
			return scanNode(ctx, node, escape(prefix)+"*", func(keys []string) error {
				for _, key := range keys {
					names = append(names, strings.TrimPrefix(key, prefix))
				}
				return nil
			})
		})
		return names, err
	}
}

func (s *Store) recordNames(ctx context.Context) (names []string, err error) {
	list, err := s.named(s.keys.prefix + ":{")(ctx)
	for _, name := range list {
		if d, ok := strings.CutSuffix(name, "}:record"); ok && gate.Digest(d).Valid() {
			names = append(names, d)
		}
	}
	return names, err
}

func (s *Store) chargeNames(ctx context.Context) (names []string, err error) {
	var cursor uint64
	for {
		var pairs []string
		pairs, cursor, err = s.client.HScan(ctx, s.keys.charges(), cursor, "", scanPage).Result()
		if err != nil {
			return nil, err
		}
		for pair := range slices.Chunk(pairs, 2) {
			names = append(names, pair[0])
		}
		if cursor == 0 {
			return names, nil
		}
	}
}

func (s *Store) exportCharges(ctx context.Context, names []string) (pieces []store.Piece, err error) {
	values, err := s.client.HMGet(ctx, s.keys.charges(), names...).Result()
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		var c charge
		if stored := text(values, i); stored == "" || !gate.Digest(name).Valid() {
			continue // given back meanwhile
		} else if err := msgpack.Unmarshal([]byte(stored), &c); err != nil {
			return nil, err
		}
		pieces = append(pieces, store.Piece{Name: name, Charge: &gate.Charge{Period: c.Period, At: timeOf(c.At), Served: c.Served}})
	}
	return pieces, nil
}

func (s *Store) exportQuota(ctx context.Context, names []string) (pieces []store.Piece, err error) {
	for _, name := range names {
		use, err := s.Quota(ctx, name)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, store.Piece{Name: name, Quota: &use})
	}
	return pieces, nil
}

func (s *Store) exportSettings(ctx context.Context, names []string) (pieces []store.Piece, err error) {
	for _, name := range names {
		value, version, err := s.Setting(ctx, name)
		if errors.Is(err, gate.ErrNotFound) {
			continue // not believed; that is logged
		}
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, store.Piece{Name: name, Setting: &store.SettingPiece{Value: value, Version: version}})
	}
	return pieces, nil
}

func (s *Store) exportTags(ctx context.Context, names []string) (pieces []store.Piece, err error) {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = s.keys.tags() + name
	}
	err = s.takeTags(ctx, keys, func(item store.Item) error {
		pieces = append(pieces, store.Piece{Name: store.TagName(item.Tag.TagKey), Tag: item.Tag})
		return nil
	})
	return pieces, err
}

func (s *Store) exportRecords(ctx context.Context, names []string) (pieces []store.Piece, err error) {
	records, inventories, findings, histories := make([]*redis.Cmd, len(names)), make([]*redis.Cmd, len(names)), make([]*redis.Cmd, len(names)), make([]*redis.Cmd, len(names))
	mark := s.seals.mark()
	err = each(ctx, s.client, func(p redis.Pipeliner) {
		for i, name := range names {
			d := gate.Digest(name)
			records[i] = s.askRecord(ctx, p, d, "")
			inventories[i] = scriptLarge.EvalSha(ctx, p, []string{s.keys.record(d), s.keys.inventory(d)}, maxLarge)
			findings[i] = scriptLarge.EvalSha(ctx, p, []string{s.keys.record(d), s.keys.findings(d)}, maxLarge)
			histories[i] = s.askHistory(ctx, p, d)
		}
	}, scriptLoad, scriptLarge, scriptHistory)
	if err != nil {
		return nil, err
	}
	large := func(cmd *redis.Cmd) []byte {
		answer, _ := cmd.Slice() // its error has ended the read before
		return []byte(text(answer, 1))
	}
	for i, name := range names {
		answer, _ := records[i].Slice()
		body, _ := s.believed(gate.Digest(name), text(answer, 0), mark)
		if body.Version == 0 {
			continue // not believed; that is logged
		}
		body.Locations = s.locationsOf(gate.Digest(name), answer[1:], mark)
		piece := store.NewRecordPiece(s.codec, body, large(inventories[i]), large(findings[i]))
		entries, _ := histories[i].Slice()
		piece.History = s.historyOf(gate.Digest(name), entries)
		slices.Reverse(piece.History)
		pieces = append(pieces, store.Piece{Name: name, Record: piece})
	}
	return pieces, nil
}

func (s *Store) exportJobs(ctx context.Context, names []string) (pieces []store.Piece, err error) {
	var ids []string
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = s.keys.scheduler("key:" + name)
	}
	err = s.takeValues(ctx, keys, func(_, id string) error {
		ids = append(ids, s.keys.job(id))
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = s.takeValues(ctx, ids, func(_, stored string) error {
		var raw job
		j, err := decodeJob(stored)
		if err == nil {
			err = msgpack.Unmarshal([]byte(stored), &raw)
		}
		pieces = append(pieces, store.Piece{Name: store.JobName(j.Kind, j.Key), Job: store.NewJobPiece(j, raw.Retries)})
		return err
	})
	return pieces, err
}
