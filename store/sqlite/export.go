package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

var _ store.Exporter = (*Store)(nil)

// Position is the sequence of the newest change.
func (s *Store) Position(ctx context.Context) (int64, error) {
	var floor, newest int64
	err := s.queries.row(ctx, queryFeedEnds).Scan(&floor, &newest)
	return max(floor, newest), storeError("reading the newest change", err)
}

// exportPage is how many rows Export reads at a time, with their large values.
const exportPage = 50

// Export calls fn for each piece of a section after a name.
func (s *Store) Export(ctx context.Context, section store.Section, after string, fn func(store.Piece) error) error {
	read, ok := map[store.Section]func(context.Context, string) ([]store.Piece, error){
		store.SectionCharges: s.exportCharges, store.SectionQuota: s.exportQuota, store.SectionSettings: s.exportSettings,
		store.SectionTags: s.exportTags, store.SectionRecords: s.exportRecords, store.SectionJobs: s.exportJobs,
	}[section]
	if !ok {
		return fmt.Errorf("exporting %s: %w", gate.Quoted(string(section), 40), gate.ErrInvalid)
	}
	for {
		page, err := read(ctx, after)
		if err != nil {
			return storeError(fmt.Sprintf("exporting %s after %s", section, gate.Quoted(after, 200)), err)
		}
		if len(page) == 0 {
			return nil
		}
		for _, p := range page {
			after = p.Name
			if p.Section == "" {
				continue // it cannot be read
			}
			if err := fn(p); err != nil {
				return err
			}
		}
	}
}

// exported runs a query for a page of rows, each of which scan turns into a piece.
func (s *Store) exported(ctx context.Context, scan func(scanner) (store.Piece, error), query string, args ...any) (page []store.Piece, err error) {
	rows, err := s.reads.QueryContext(ctx, query, append(args, exportPage)...)
	if err != nil {
		return nil, err
	}
	err = forEach(rows, func(row scanner) error {
		p, err := scan(row)
		page = append(page, p)
		return err
	})
	return page, err
}

func (s *Store) exportCharges(ctx context.Context, after string) ([]store.Piece, error) {
	return s.exported(ctx, func(row scanner) (store.Piece, error) {
		p := store.Piece{Section: store.SectionCharges, Charge: &gate.Charge{}}
		var at int64
		err := row.Scan(&p.Name, &p.Charge.Period, &at, &p.Charge.Served)
		p.Charge.At = timeOf(at).Truncate(time.Microsecond)
		return p, err
	}, `SELECT digest, period, at, served FROM charges WHERE digest > ? ORDER BY digest LIMIT ?`, after)
}

func (s *Store) exportQuota(ctx context.Context, after string) ([]store.Piece, error) {
	return s.exported(ctx, func(row scanner) (store.Piece, error) {
		p := store.Piece{Section: store.SectionQuota, Quota: &gate.QuotaUse{}}
		return p, row.Scan(&p.Name, &p.Quota.Used, &p.Quota.Avoided)
	}, `SELECT period, used, avoided FROM quota WHERE period > ? ORDER BY period LIMIT ?`, after)
}

func (s *Store) exportSettings(ctx context.Context, after string) ([]store.Piece, error) {
	return s.exported(ctx, func(row scanner) (store.Piece, error) {
		p := store.Piece{Section: store.SectionSettings, Setting: &store.SettingPiece{}}
		return p, row.Scan(&p.Name, &p.Setting.Value, &p.Setting.Version)
	}, `SELECT name, value, version FROM settings WHERE name > ? ORDER BY name LIMIT ?`, after)
}

func (s *Store) exportTags(ctx context.Context, after string) ([]store.Piece, error) {
	return s.exported(ctx, func(row scanner) (store.Piece, error) {
		m, name, err := scanTag(row)
		return store.Piece{Section: store.SectionTags, Name: name, Tag: &m}, err
	}, `SELECT `+tagColumns+` FROM tags WHERE key > ? ORDER BY key LIMIT ?`, after)
}

func (s *Store) exportJobs(ctx context.Context, after string) ([]store.Piece, error) {
	kind, key, _ := strings.Cut(after, ":")
	return s.exported(ctx, func(row scanner) (store.Piece, error) {
		j, err := scanJob(row)
		if err != nil {
			return store.Piece{}, err
		}
		return store.Piece{Section: store.SectionJobs, Name: store.JobName(j.Kind, j.Key), Job: store.NewJobPiece(j.Job, j.retries)}, nil
	}, `SELECT `+jobColumns+` FROM jobs WHERE superseded = 0 AND (kind, key) > (CAST(? AS INTEGER), ?) ORDER BY kind, key LIMIT ?`, kind, key)
}

func (s *Store) exportRecords(ctx context.Context, after string) ([]store.Piece, error) {
	var found []record
	var values [][2][]byte
	page, err := s.exported(ctx, func(row scanner) (store.Piece, error) {
		var large [2][]byte
		r, err := scanRecord(columns{row, []any{&large[0], &large[1]}})
		found, values = append(found, r), append(values, large)
		return store.Piece{Name: string(r.digest)}, err
	}, `SELECT `+recordColumns+`, inventory.data, findings.data FROM records
		LEFT JOIN inventories inventory USING (digest) LEFT JOIN findings USING (digest)
		WHERE digest > ? ORDER BY digest LIMIT ?`, after)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	digests := make([]gate.Digest, len(found))
	for i, r := range found {
		digests[i] = r.digest
	}
	shown, err := s.readRecords(ctx, digests, true)
	if err != nil {
		return nil, err
	}
	for i, r := range found {
		if r.damage != nil {
			continue // readRecords has told of it
		}
		b := r.body
		b.Version, b.Locations = r.version, shown[r.digest].Locations
		slices.SortFunc(b.Locations, func(x, y gate.LocationState) int {
			return strings.Compare(x.Registry+"\n"+x.Repository, y.Registry+"\n"+y.Repository)
		})
		page[i].Section, page[i].Record = store.SectionRecords, store.NewRecordPiece(s.codec, b, values[i][0], values[i][1])
		if page[i].Record.History, err = s.exportHistory(ctx, r.digest); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// columns is a row with further columns behind those that its reader asks for.
type columns struct {
	row  scanner
	more []any
}

// Scan implements scanner.
func (c columns) Scan(dest ...any) error { return c.row.Scan(append(dest, c.more...)...) }
