package catalog

import (
	"context"
	"database/sql"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// Candidates is a page of the images that can be scanned, in the order of their digests:
// those after one, at most limit. What is shown with another image is none of them, an
// index neither, and nothing that can never be assessed. Fewer than limit are the last
// ones.
func (c *Catalog) Candidates(ctx context.Context, ask gate.ScanAsk, after gate.Digest, limit int) ([]gate.ScanCandidate, error) {
	q := candidatesAfter(ask, after, limit)
	list, err := all(ctx, c, "listing images to scan", scanCandidate, q.text, q.args...)
	if err != nil || len(list) == 0 || !ask.Places && !ask.Parents {
		return list, err
	}
	at := make(map[gate.Digest]*gate.ScanCandidate, len(list))
	digests := make([]string, len(list))
	for i := range list {
		at[list[i].Digest], digests[i] = &list[i], string(list[i].Digest)
	}
	places, err := all(ctx, c, "listing locations", placeOf, placesOfQuery, jsonArray(digests))
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		at[p.digest].Places = append(at[p.digest].Places, p.Place)
	}
	if !ask.Parents {
		return list, nil
	}
	parents, err := all(ctx, c, "listing indexes", parentOf, parentsOfQuery, jsonArray(digests))
	if err != nil {
		return nil, err
	}
	for _, p := range parents {
		take(at[p.child], p)
	}
	return list, nil
}

func candidatesAfter(ask gate.ScanAsk, after gate.Digest, limit int) query {
	var where conditions
	where.add("i.digest > ?", after)
	where.add(`(i.has_inventory OR i.kind IN ('image', '') AND NOT i.accessory AND i.state != ?
		AND NOT EXISTS (SELECT 1 FROM attestations s WHERE s.digest = i.digest))`, string(gate.StateUnassessable))
	if ask.Registry != "" {
		where.add("EXISTS (SELECT 1 FROM locations l WHERE l.digest = i.digest AND l.registry = ? AND NOT l.gone)", ask.Registry)
	}
	return query{"SELECT i.digest, i.has_inventory, i.decision, i.seen_at FROM images i WHERE " + where.String() + " ORDER BY i.digest LIMIT ?", append(where.args, limit)}
}

func scanCandidate(rows *sql.Rows) (i gate.ScanCandidate, err error) {
	var seen int64
	err = rows.Scan(&i.Digest, &i.Scanned, &i.Decision, &seen)
	i.SeenAt = fromMicros(seen)
	return i, err
}

// parentsOfQuery lists the indexes that have the digests of a JSON array in them, with the
// tags that name them.
const parentsOfQuery = `SELECT c.child, c.parent, coalesce(t.registry, ''), coalesce(t.repository, ''), coalesce(t.tag, '')
	FROM json_each(?) k CROSS JOIN children c ON c.child = k.value LEFT JOIN tags t ON t.digest = c.parent ORDER BY c.child, c.parent`

type parent struct {
	child, digest gate.Digest
	gate.TagKey
}

func parentOf(rows *sql.Rows) (p parent, err error) {
	return p, rows.Scan(&p.child, &p.digest, &p.Registry, &p.Repository, &p.Tag)
}

// take notes an index with the image in it, and its tag where the image is located.
func take(i *gate.ScanCandidate, p parent) {
	if !slices.Contains(i.Parents, p.digest) {
		i.Parents = append(i.Parents, p.digest)
	}
	for n := range i.Places {
		if at := &i.Places[n]; at.Location == p.Location && p.Tag != "" && !slices.Contains(at.Tags, p.Tag) {
			at.Tags = append(at.Tags, p.Tag)
		}
	}
}
