package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Images lists images, newest first. next is "" at the end. A cursor that was
// not made by this method is gate.ErrInvalid.
func (c *Catalog) Images(ctx context.Context, f gate.ImageFilter) (list []gate.ListedImage, next string, err error) {
	few, err := c.fewAt(ctx, f)
	if err != nil {
		return nil, "", err
	}
	where, limit, err := imageConditions(f, few)
	if err != nil {
		return nil, "", err
	}
	if f.Keyword == "" {
		list, err = c.listed(ctx, imagesQuery(where, limit))
	} else {
		list, err = c.searched(ctx, f.Keyword, where, limit)
	}
	if err != nil {
		return nil, "", err
	}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		next = cursor("images", micros(last.SeenAt), string(last.Digest))
	}
	if err := c.furnish(ctx, list); err != nil {
		return nil, "", err
	}
	return list, next, nil
}

// furnish adds the places and the accessories to a page of images. Few images have
// accessories, so that these are looked for first.
func (c *Catalog) furnish(ctx context.Context, page []gate.ListedImage) error {
	at := make(map[gate.Digest]*gate.ListedImage, len(page))
	digests := make([]string, len(page))
	for n := range page {
		at[page[n].Digest], digests[n] = &page[n], string(page[n].Digest)
	}
	places, err := all(ctx, c, "listing locations", placeOf, placesOfQuery, jsonArray(digests))
	if err != nil {
		return err
	}
	for _, p := range places {
		at[p.digest].Places = append(at[p.digest].Places, p.Place)
	}
	having, err := all(ctx, c, "listing accessories", column[gate.Digest], havingAccessories, jsonArray(digests))
	if err != nil {
		return err
	}
	for _, d := range having {
		if at[d].Accessories, err = c.Accessories(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// placesOfQuery is that of [Catalog.Places] for each digest in a JSON array.
const placesOfQuery = `SELECT l.digest, l.registry, l.repository, l.gone,
		(SELECT json_group_array(tag) FROM (SELECT tag FROM tags t WHERE t.digest = l.digest AND t.registry = l.registry
			AND t.repository = l.repository ORDER BY tag))
		FROM json_each(?) k CROSS JOIN locations l ON l.digest = k.value ORDER BY l.digest, l.registry, l.repository`

// havingAccessories are the digests in a JSON array for which accessoriesQuery may find
// something.
const havingAccessories = `SELECT value FROM json_each(?) k WHERE
		EXISTS (SELECT 1 FROM images i WHERE i.subject = k.value AND i.subject != '')
		OR EXISTS (SELECT 1 FROM tags s WHERE s.subject = k.value AND s.subject != '')
		OR EXISTS (SELECT 1 FROM attestations s WHERE s.subject = k.value)
		OR EXISTS (SELECT 1 FROM attestations s WHERE s.parent = k.value)`

type placeOfDigest struct {
	gate.Place
	digest gate.Digest
}

func placeOf(rows *sql.Rows) (p placeOfDigest, err error) {
	var tags string
	if err := rows.Scan(&p.digest, &p.Registry, &p.Repository, &p.Gone, &tags); err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(tags), &p.Tags)
}

// fewAt reports whether the registry of a filter has so few images that they are looked
// up and sorted. The others are met soon on the way from the newest image on.
func (c *Catalog) fewAt(ctx context.Context, f gate.ImageFilter) (bool, error) {
	if f.Registry == "" || f.Repository != "" {
		return false, nil
	}
	n, err := all(ctx, c, "listing images", column[int], countAtQuery, f.Registry, c.search.images+1)
	return err == nil && n[0] <= c.search.images, err
}

const countAtQuery = "SELECT count(*) FROM (SELECT 1 FROM locations WHERE registry = ? LIMIT ?)"

// imageConditions are those of a filter, without its keyword; few is the answer of fewAt.
func imageConditions(f gate.ImageFilter, few bool) (where conditions, limit int, err error) {
	where.equal("i.state", string(f.State))
	where.equal("i.decision", string(f.Decision))
	where.equal("i.kind", string(f.Kind))
	if f.Kind == "" && !strings.HasPrefix(f.Keyword, "sha256") { // who names a digest, or a tag made of one, means it
		// An index under the tag of a digest lists what belongs to that digest.
		// A manifest that an index calls an attestation counts as one until it is read.
		where.add(`NOT i.accessory AND NOT (i.kind = 'index' AND EXISTS (SELECT 1 FROM tags s WHERE s.digest = i.digest AND s.subject != ''))
			AND NOT (i.kind = '' AND EXISTS (SELECT 1 FROM attestations s WHERE s.digest = i.digest))`)
	}
	switch { // a repository holds few of the images, a registry many as a rule
	case f.Repository != "":
		in := conditions{}
		in.equal("repository", f.Repository)
		in.equal("registry", f.Registry)
		where.add("i.digest IN (SELECT digest FROM locations WHERE "+in.String()+")", in.args...)
	case f.Registry != "" && few:
		where.add("i.digest IN (SELECT digest FROM locations WHERE registry = ?)", f.Registry)
	case f.Registry != "":
		where.add("EXISTS (SELECT 1 FROM locations l WHERE l.digest = i.digest AND l.registry = ?)", f.Registry)
	}
	limit, err = where.page("images", "i.seen_at", "i.digest", f.Cursor, f.Limit)
	return where, limit, err
}

// query is a statement with its arguments.
type query struct {
	text string
	args []any
}

const (
	imageColumns = `SELECT i.digest, i.kind, i.platform, i.state, i.decision, i.critical, i.high, i.medium, i.low,
		i.unknown, i.size, i.analyzed_at, i.seen_at`
	newestFirst = " ORDER BY i.seen_at DESC, i.digest LIMIT ?"
)

// imagesQuery asks for one row more than limit, which tells whether there is a
// next page.
func imagesQuery(where conditions, limit int) query {
	return query{imageColumns + " FROM images i WHERE " + where.String() + newestFirst, append(slices.Clip(where.args), limit+1)}
}

func (c *Catalog) listed(ctx context.Context, q query) ([]gate.ListedImage, error) {
	return all(ctx, c, "listing images", listedImage, q.text, q.args...)
}

func listedImage(rows *sql.Rows) (i gate.ListedImage, err error) {
	var analyzed, seen int64
	err = rows.Scan(&i.Digest, &i.Kind, &i.Platform, &i.State, &i.Decision, &i.Counts.Critical, &i.Counts.High,
		&i.Counts.Medium, &i.Counts.Low, &i.Counts.Unknown, &i.Size, &analyzed, &seen)
	i.AnalyzedAt, i.SeenAt = fromMicros(analyzed), fromMicros(seen)
	return i, err
}

// Places lists where a digest was seen, with its tags.
func (c *Catalog) Places(ctx context.Context, d gate.Digest) ([]gate.Place, error) {
	return all(ctx, c, "listing locations", place, `SELECT l.registry, l.repository, l.gone,
		(SELECT json_group_array(tag) FROM (SELECT tag FROM tags t WHERE t.digest = l.digest AND t.registry = l.registry
			AND t.repository = l.repository ORDER BY tag))
		FROM locations l WHERE l.digest = ? ORDER BY l.registry, l.repository`, d)
}

// maxAccessories bounds what is shown with one image: anybody who may push to a
// repository can push any number.
const maxAccessories = 100

const accessoriesQuery = `SELECT DISTINCT a.digest, a.kind, coalesce(l.registry, ''), coalesce(l.repository, ''),
		coalesce((SELECT min(tag) FROM tags t WHERE t.digest = a.digest AND t.registry = l.registry AND t.repository = l.repository), '')
	FROM (SELECT i.digest, i.kind, i.digest AS located FROM images i WHERE i.subject = ?1 AND i.subject != ''
		UNION SELECT i.digest, i.kind, i.digest FROM tags s JOIN images i ON i.digest = s.digest WHERE s.subject = ?1 AND s.subject != ''
		UNION SELECT s.digest, coalesce(nullif(i.kind, ''), 'attestation'), CASE WHEN i.digest IS NULL THEN s.parent ELSE i.digest END
			FROM (SELECT parent, digest FROM attestations WHERE subject = ?1 UNION SELECT parent, digest FROM attestations WHERE parent = ?1) s
			LEFT JOIN images i ON i.digest = s.digest) a
	LEFT JOIN locations l ON l.digest = a.located AND NOT l.gone
	WHERE a.digest != ?1 ORDER BY a.kind, a.digest, l.registry, l.repository LIMIT ?2`

// Accessories lists manifests that claim to be about a digest, by their own subject or
// by a tag named after the digest, and those that an index with both in it calls
// attestations of it. For an index, the attestations of all images in it are listed
// too. The location of a manifest that has not been read is that of the index.
func (c *Catalog) Accessories(ctx context.Context, d gate.Digest) ([]gate.Accessory, error) {
	return all(ctx, c, "listing accessories", accessory, accessoriesQuery, d, maxAccessories)
}

func accessory(rows *sql.Rows) (a gate.Accessory, err error) {
	return a, rows.Scan(&a.Digest, &a.Kind, &a.Registry, &a.Repository, &a.Tag)
}

func place(rows *sql.Rows) (p gate.Place, err error) {
	var tags string
	if err := rows.Scan(&p.Registry, &p.Repository, &p.Gone, &tags); err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(tags), &p.Tags)
}

// Tags lists the tags known to name a digest at a location.
func (c *Catalog) Tags(ctx context.Context, d gate.Digest, loc gate.Location) ([]string, error) {
	return all(ctx, c, "listing tags", column[string],
		"SELECT tag FROM tags WHERE digest = ? AND registry = ? AND repository = ? ORDER BY tag", d, loc.Registry, loc.Repository)
}

// TagsOf lists the tags known to name digests, in the order of their names. Digests
// without one are missing.
func (c *Catalog) TagsOf(ctx context.Context, digests []gate.Digest) (map[gate.Digest][]gate.TagKey, error) {
	named := make(map[gate.Digest][]gate.TagKey, len(digests))
	for part := range slices.Chunk(digests, tagsOfMost) {
		args := make([]any, tagsOfMost) // padded, so that there is one statement
		for i := range args {
			args[i] = part[min(i, len(part)-1)]
		}
		list, err := all(ctx, c, "listing tags", namedTag, tagsOfQuery, args...)
		if err != nil {
			return nil, err
		}
		for _, n := range list {
			named[n.digest] = append(named[n.digest], n.TagKey)
		}
	}
	return named, nil
}

const tagsOfMost = 100

var tagsOfQuery = "SELECT digest, registry, repository, tag FROM tags WHERE digest IN (?" + strings.Repeat(",?", tagsOfMost-1) + ") ORDER BY registry, repository, tag"

type namedDigest struct {
	gate.TagKey
	digest gate.Digest
}

func namedTag(rows *sql.Rows) (n namedDigest, err error) {
	return n, rows.Scan(&n.digest, &n.Registry, &n.Repository, &n.Tag)
}

// Scanned implements standing.Digests.
func (c *Catalog) Scanned(ctx context.Context, after gate.Digest, limit int) ([]gate.Digest, error) {
	return all(ctx, c, "listing digests", column[gate.Digest],
		"SELECT digest FROM images WHERE has_inventory AND digest > ? ORDER BY digest LIMIT ?", after, limit)
}

// Waiting implements gate.Waiting.
func (c *Catalog) Waiting(ctx context.Context) (int64, error) {
	list, err := all(ctx, c, "counting waiting jobs", column[int64], waitingQuery, string(gate.JobParked))
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0], nil
}

const waitingQuery = "SELECT count(*) FROM jobs WHERE state = ?"

// Jobs lists jobs, the last changed first. next is "" at the end. A cursor that
// was not made by this method is gate.ErrInvalid.
func (c *Catalog) Jobs(ctx context.Context, f gate.JobFilter) (list []gate.Job, next string, err error) {
	query, args, limit, err := jobsQuery(f)
	if err != nil {
		return nil, "", err
	}
	list, err = all(ctx, c, "listing jobs", listedJob, query, args...)
	if err != nil {
		return nil, "", err
	}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		next = cursor("jobs", micros(last.UpdatedAt), last.ID)
	}
	return list, next, nil
}

func jobsQuery(f gate.JobFilter) (query string, args []any, limit int, err error) {
	var where conditions
	where.equal("state", string(f.State))
	where.equal("kind", string(f.Kind))
	where.equal("digest", string(f.Digest))
	limit, err = where.page("jobs", "updated_at", "id", f.Cursor, f.Limit)
	if err != nil {
		return "", nil, 0, err
	}
	return "SELECT body FROM jobs WHERE " + where.String() + " ORDER BY updated_at DESC, id LIMIT ?", append(where.args, limit+1), limit, nil
}

func listedJob(rows *sql.Rows) (job gate.Job, err error) {
	var body string
	if err := rows.Scan(&body); err != nil {
		return job, err
	}
	return job, json.Unmarshal([]byte(body), &job)
}
