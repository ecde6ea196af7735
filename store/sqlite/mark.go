package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// Marks are the marks of digests: two queries for each few of them, and nothing is
// decoded. What cannot be read is not looked for: it has the mark of other bytes than
// those that could be.
func (s *Store) Marks(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Mark, error) {
	marks := make(map[gate.Digest]gate.Mark, len(digests))
	what := func(err error) error {
		return storeError(fmt.Sprintf("reading the marks of %d digests", len(digests)), err)
	}
	if err := ctx.Err(); err != nil {
		return nil, what(err)
	}
	keys := texts(digests)
	var digest, body, registry, repository, verdict sql.RawBytes
	err := s.queries.list(ctx, func(row scanner) error {
		var version, epoch, crc int64
		if err := row.Scan(&digest, &version, &epoch, &body, &crc); err != nil {
			return err
		}
		marks[gate.Digest(digest)] = s.marker.Add(0, []int64{version, epoch, crc}, digest, body)
		return nil
	}, listRecords, keys)
	if err != nil {
		return nil, what(err)
	}
	err = s.queries.list(ctx, func(row scanner) error {
		var seen, gone, goneAt int64
		if err := row.Scan(&digest, &registry, &repository, &seen, &gone, &verdict, &goneAt); err != nil {
			return err
		}
		if mark, known := marks[gate.Digest(digest)]; known {
			marks[gate.Digest(digest)] = s.marker.Add(mark, []int64{seen, gone, goneAt}, registry, repository, verdict)
		}
		return nil
	}, listLocations, keys)
	if err != nil {
		return nil, what(err)
	}
	return marks, nil
}
