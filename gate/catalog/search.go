package catalog

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/digestgate/digestgate/gate"
)

// A keyword is part of a digest, of a repository or of a tag, in any case of ASCII. Names
// that have it are found by their trigrams; then there are two ways to the newest images
// that have such a name. The images of a few names are looked up and sorted. Where they
// are many, the newest images are looked at one after the other until the page is full.

// searching bounds what a search tries before it takes the next way.
type searching struct {
	names  int // that have the keyword and are looked up
	images int // that have one of these names and are sorted
	newest int // that are looked at one after the other
}

// usualSearching keeps each step at a few milliseconds; a name takes 2 µs, an image that
// is sorted or looked at about 5 µs.
var usualSearching = searching{names: 1000, images: 2000, newest: 2500} // not modified

// searched lists the images that have a keyword, as [Catalog.Images] does.
func (c *Catalog) searched(ctx context.Context, keyword string, where conditions, limit int) ([]gate.ListedImage, error) {
	like := pattern(keyword)
	names, few, err := c.namesWith(ctx, keyword, like)
	if err != nil {
		return nil, err
	}
	if few {
		digests, err := all(ctx, c, "searching images", column[string], candidates+" LIMIT ?2", names, c.search.images+1)
		if err != nil {
			return nil, err
		}
		if len(digests) <= c.search.images {
			slices.Sort(digests)
			digests = slices.Compact(digests)
			return c.listed(ctx, query{imageColumns + " FROM json_each(?) k CROSS JOIN images i ON i.digest = k.value WHERE " + where.String() + newestFirst,
				append(append([]any{jsonArray(digests)}, where.args...), limit+1)})
		}
	}
	found, err := c.listed(ctx, newestWith(where, like, c.search.newest, limit))
	if err != nil || len(found) > limit {
		return found, err
	}
	if few {
		return c.listed(ctx, imagesQuery(where.and("i.digest IN ("+candidatesAnywhere+")", names, names, names), limit))
	}
	return c.listed(ctx, scanQuery(where, like, limit))
}

// pattern is what LIKE takes for a part of a name.
func pattern(keyword string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(keyword) + "%"
}

// scanQuery looks at every name there is.
func scanQuery(where conditions, like string, limit int) query {
	return imagesQuery(where.and(`(i.digest LIKE ? ESCAPE '\' OR i.digest IN (SELECT digest FROM locations WHERE repository LIKE ? ESCAPE '\')
		OR i.digest IN (SELECT digest FROM tags WHERE tag LIKE ? ESCAPE '\'))`, like, like, like), limit)
}

// newestWith looks at the newest images that meet the other conditions, up to a number.
func newestWith(where conditions, like string, newest, limit int) query {
	return query{imageColumns + " FROM (SELECT i.* FROM images i WHERE " + where.String() + newestFirst + `) i
		WHERE i.digest LIKE ? ESCAPE '\' OR EXISTS (SELECT 1 FROM locations l WHERE l.digest = i.digest AND l.repository LIKE ? ESCAPE '\')
			OR EXISTS (SELECT 1 FROM tags t WHERE t.digest = i.digest AND t.tag LIKE ? ESCAPE '\')` + newestFirst,
		append(append([]any{}, where.args...), newest, like, like, like, limit+1)}
}

// candidates are the digests that have one of the names in ?1, a JSON array; one may
// occur twice.
const candidates = `SELECT value FROM json_each(?1) UNION ALL SELECT l.digest FROM json_each(?1) n JOIN locations l ON l.repository = n.value
	UNION ALL SELECT t.digest FROM json_each(?1) n JOIN tags t ON t.tag = n.value`

// candidatesAnywhere is the same with a parameter for each use.
var candidatesAnywhere = strings.ReplaceAll(candidates, "?1", "?") // not modified

// namesWith finds the names that have a keyword, as a JSON array; few is false when
// there are many, or when trigrams cannot tell.
func (c *Catalog) namesWith(ctx context.Context, keyword, like string) (names string, few bool, err error) {
	parts := trigrams(keyword)
	if parts == "" {
		return "", false, nil
	}
	found, err := all(ctx, c, "searching images", column[string], `SELECT n.name FROM names_parts p JOIN names n ON n.id = p.rowid
		WHERE names_parts MATCH ? AND n.name LIKE ? ESCAPE '\' LIMIT ?`, parts, like, c.search.names+1)
	if err != nil || len(found) > c.search.names {
		return "", false, err
	}
	for _, name := range found {
		if !isText(name) {
			return "", false, nil // an array would hold another name
		}
	}
	return jsonArray(found), true, nil
}

// maxTrigrams bounds a search; a name that has this many has the rest as a rule.
const maxTrigrams = 40

// trigrams is what the index is asked for: names that have every three characters in a
// row of the keyword. The index folds case further than LIKE does, which then decides.
// "" when the keyword is too short, or no text.
func trigrams(keyword string) string {
	if !isText(keyword) {
		return ""
	}
	chars := []rune(keyword)
	var parts []string
	for i := 0; i+3 <= len(chars) && len(parts) < maxTrigrams; i++ {
		parts = append(parts, `"`+strings.ReplaceAll(string(chars[i:i+3]), `"`, `""`)+`"`)
	}
	return strings.Join(parts, " AND ")
}

// isText reports whether the index and a JSON array take a text as it is.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// jsonArray is a JSON array of texts.
func jsonArray(texts []string) string {
	if len(texts) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(texts) // texts cannot fail
	return string(b)
}
