package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/digestgate/digestgate/gate"
)

// absentQuery lists the images that are located nowhere, or nowhere any more, in the order of
// their digests.
const absentQuery = `SELECT i.digest,
		(SELECT json_group_array(parent) FROM children c WHERE c.child = i.digest),
		(SELECT json_group_array(child) FROM children c WHERE c.parent = i.digest),
		(SELECT json_group_array(registry || '/' || repository || ':' || tag) FROM tags t WHERE t.digest = i.digest)
	FROM images i WHERE i.digest > ? AND NOT EXISTS (SELECT 1 FROM locations l WHERE l.digest = i.digest AND NOT l.gone)
	ORDER BY i.digest LIMIT ?`

// Absent is a page of the images that no registry is known to have, in the order of their
// digests: those after one, at most limit. Fewer than limit are the last ones.
func (c *Catalog) Absent(ctx context.Context, after gate.Digest, limit int) ([]gate.AbsentImage, error) {
	return all(ctx, c, "listing images that no registry has", absentImage, absentQuery, after, limit)
}

func absentImage(rows *sql.Rows) (i gate.AbsentImage, err error) {
	var parents, children, tags string
	if err := rows.Scan(&i.Digest, &parents, &children, &tags); err != nil {
		return i, err
	}
	var names []string
	err = errors.Join(json.Unmarshal([]byte(parents), &i.Parents), json.Unmarshal([]byte(children), &i.Children), json.Unmarshal([]byte(tags), &names))
	if err != nil {
		return i, err
	}
	for _, name := range names {
		if k, ok := gate.ParseTagKey(name); ok {
			i.Tags = append(i.Tags, k)
		}
	}
	return i, nil
}
