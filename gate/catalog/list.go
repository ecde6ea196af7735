package catalog

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Images lists images, newest first. next is "" at the end. A cursor that was
// not made by this method is gate.ErrInvalid.
func (c *Catalog) Images(ctx context.Context, f gate.ImageFilter) (list []gate.ListedImage, next string, err error) {
	var where conditions
	where.equal("i.state", string(f.State))
	where.equal("i.decision", string(f.Decision))
	where.equal("i.kind", string(f.Kind))
	if f.Registry != "" || f.Repository != "" {
		var in conditions
		in.equal("registry", f.Registry)
		in.equal("repository", f.Repository)
		where.add("i.digest IN (SELECT digest FROM locations WHERE "+in.String()+")", in.args...)
	}
	if f.Keyword != "" {
		like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(f.Keyword) + "%"
		where.add(`(i.digest LIKE ? ESCAPE '\' OR i.digest IN (SELECT digest FROM locations WHERE repository LIKE ? ESCAPE '\')
			OR i.digest IN (SELECT digest FROM tags WHERE tag LIKE ? ESCAPE '\'))`, like, like, like)
	}
	limit, err := where.page("i.seen_at", "i.digest", f.Cursor, f.Limit)
	if err != nil {
		return nil, "", err
	}
	rows, err := c.db.QueryContext(ctx, `SELECT i.digest, i.kind, i.platform, i.state, i.decision, i.critical, i.high, i.medium, i.low,
		i.unknown, i.size, i.analyzed_at, i.seen_at FROM images i WHERE `+where.String()+` ORDER BY i.seen_at DESC, i.digest LIMIT ?`,
		append(where.args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("listing images: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var i gate.ListedImage
		var analyzed, seen int64
		err := rows.Scan(&i.Digest, &i.Kind, &i.Platform, &i.State, &i.Decision, &i.Counts.Critical, &i.Counts.High,
			&i.Counts.Medium, &i.Counts.Low, &i.Counts.Unknown, &i.Size, &analyzed, &seen)
		if err != nil {
			return nil, "", fmt.Errorf("listing images: %w", err)
		}
		i.AnalyzedAt, i.SeenAt = fromMicros(analyzed), fromMicros(seen)
		list = append(list, i)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("listing images: %w", err)
	}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		next = cursor(micros(last.SeenAt), string(last.Digest))
	}
	for n := range list {
		if list[n].Places, err = c.Places(ctx, list[n].Digest); err != nil {
			return nil, "", err
		}
	}
	return list, next, nil
}

// Places lists where a digest was seen, with its tags.
func (c *Catalog) Places(ctx context.Context, d gate.Digest) ([]gate.Place, error) {
	rows, err := c.db.QueryContext(ctx, `SELECT l.registry, l.repository, l.gone,
		coalesce((SELECT json_group_array(tag) FROM (SELECT tag FROM tags t WHERE t.digest = l.digest AND t.registry = l.registry
			AND t.repository = l.repository ORDER BY tag)), '[]')
		FROM locations l WHERE l.digest = ? ORDER BY l.registry, l.repository`, d)
	if err != nil {
		return nil, fmt.Errorf("listing locations: %w", err)
	}
	defer rows.Close()
	var list []gate.Place
	for rows.Next() {
		var l gate.Place
		var tags string
		if err := rows.Scan(&l.Registry, &l.Repository, &l.Gone, &tags); err != nil {
			return nil, fmt.Errorf("listing locations: %w", err)
		}
		if err := json.Unmarshal([]byte(tags), &l.Tags); err != nil {
			return nil, fmt.Errorf("listing tags: %w", err)
		}
		list = append(list, l)
	}
	return list, rows.Err()
}

// Tags lists the tags known to name a digest at a location.
func (c *Catalog) Tags(ctx context.Context, d gate.Digest, loc gate.Location) ([]string, error) {
	rows, err := c.db.QueryContext(ctx, "SELECT tag FROM tags WHERE digest = ? AND registry = ? AND repository = ? ORDER BY tag", d, loc.Registry, loc.Repository)
	if err != nil {
		return nil, fmt.Errorf("listing tags: %w", err)
	}
	defer rows.Close()
	var tags []string
	for rows.Next() {
		var tag string
		if err := rows.Scan(&tag); err != nil {
			return nil, fmt.Errorf("listing tags: %w", err)
		}
		tags = append(tags, tag)
	}
	return tags, rows.Err()
}

// Scanned implements gate.Digests.
func (c *Catalog) Scanned(ctx context.Context, after gate.Digest, limit int) ([]gate.Digest, error) {
	rows, err := c.db.QueryContext(ctx, "SELECT digest FROM images WHERE has_inventory AND digest > ? ORDER BY digest LIMIT ?", after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing digests: %w", err)
	}
	defer rows.Close()
	var list []gate.Digest
	for rows.Next() {
		var d gate.Digest
		if err := rows.Scan(&d); err != nil {
			return nil, fmt.Errorf("listing digests: %w", err)
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

// Jobs lists jobs, the last changed first.
func (c *Catalog) Jobs(ctx context.Context, f gate.JobFilter) (list []gate.Job, next string, err error) {
	var where conditions
	where.equal("state", string(f.State))
	where.equal("kind", string(f.Kind))
	where.equal("digest", string(f.Digest))
	limit, err := where.page("updated_at", "id", f.Cursor, f.Limit)
	if err != nil {
		return nil, "", err
	}
	rows, err := c.db.QueryContext(ctx, "SELECT body FROM jobs WHERE "+where.String()+" ORDER BY updated_at DESC, id LIMIT ?", append(where.args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("listing jobs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var body string
		var job gate.Job
		if err := rows.Scan(&body); err != nil {
			return nil, "", fmt.Errorf("listing jobs: %w", err)
		}
		if err := json.Unmarshal([]byte(body), &job); err != nil {
			return nil, "", fmt.Errorf("listing jobs: %w", err)
		}
		list = append(list, job)
	}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		next = cursor(micros(last.UpdatedAt), last.ID)
	}
	return list, next, rows.Err()
}

// conditions builds a WHERE clause; the empty one is true.
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) add(sql string, args ...any) {
	c.parts = append(c.parts, sql)
	c.args = append(c.args, args...)
}

func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column+" = ?", value)
	}
}

func (c *conditions) String() string {
	if len(c.parts) == 0 {
		return "true"
	}
	return strings.Join(c.parts, " AND ")
}

// page adds the condition of a cursor over (at DESC, id) and returns the limit.
func (c *conditions) page(at, id, text string, limit int) (int, error) {
	if limit == 0 {
		limit = 50
	}
	if limit < 1 || limit > gate.MaxPage {
		return 0, fmt.Errorf("limit %d is not between 1 and %d: %w", limit, gate.MaxPage, gate.ErrInvalid)
	}
	if text == "" {
		return limit, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	var pos position
	if err == nil {
		err = json.Unmarshal(raw, &pos)
	}
	if err != nil {
		return 0, fmt.Errorf("cursor %q was not given out here: %w", gate.Printable(text, 60), gate.ErrInvalid)
	}
	c.add("("+at+" < ? OR ("+at+" = ? AND "+id+" > ?))", pos.At, pos.At, pos.ID)
	return limit, nil
}

// position is where a page ended.
type position struct {
	At int64  `json:"a"`
	ID string `json:"i"`
}

func cursor(at int64, id string) string {
	raw, err := json.Marshal(position{at, id})
	if err != nil {
		panic(err) // an integer and a string always marshal
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}
