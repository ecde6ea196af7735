package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
)

// TestSearchAnswersAsAScan: whatever names there are and whichever way a search takes, it
// lists what a look at every name lists, in the same order and cut into the same pages.
func TestSearchAnswersAsAScan(t *testing.T) {
	names := rapid.OneOf(
		rapid.StringMatching(`[a-dA-D/%_\\"'é☃É-]{1,9}`), // few characters, so that parts are shared
		rapid.SampledFrom([]string{"team/app", "team/APP-2", "v1", "v1.2", "sha256-ab.sig", "ſtraße", "İstanbul", "a\"b", "K", "", "sha256:", "latest", "%%%", "a_c", "abc AND abd"}),
	)
	rapid.Check(t, func(r *rapid.T) {
		c, err := Open(context.Background(), t.TempDir(), nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.search = searching{names: rapid.IntRange(0, 6).Draw(r, "names"), images: rapid.IntRange(0, 6).Draw(r, "images"), newest: rapid.IntRange(1, 8).Draw(r, "newest")}
		var known []string
		n := rapid.IntRange(1, 25).Draw(r, "count")
		err = c.write(t.Context(), func(w *writer) error {
			for i := range n {
				d := gate.Digest(fmt.Sprintf("sha256:%064x", uint64(i)*0x9e3779b97f4a7c15))
				at := time.Unix(int64(1000+i%7), 0)
				l := gate.Location{Registry: rapid.SampledFrom([]string{"hub", "hub", "mirror"}).Draw(r, "registry"), Repository: names.Draw(r, "repository")}
				tag := names.Draw(r, "tag")
				known = append(known, string(d), l.Repository, tag)
				w.image(d, gate.Entry{Record: gate.Record{Digest: d, Version: 1, Manifest: gate.Manifest{Digest: d, Kind: gate.KindImage},
					Locations: []gate.LocationState{{Location: l, SeenAt: at}}}})
				w.tag(gate.TagKey{Location: l, Tag: tag}, gate.TagMapping{Digest: d})
				if rapid.IntRange(0, 9).Draw(r, "gone") == 0 {
					w.tag(gate.TagKey{Location: l, Tag: tag}, gate.TagMapping{Gone: true})
				}
				if rapid.IntRange(0, 9).Draw(r, "forgotten") == 0 {
					w.image(d, gate.Entry{})
				}
			}
			return w.err
		})
		if err != nil {
			r.Fatal(err)
		}
		wantNames(t, c)
		for range 8 {
			keyword := names.Draw(r, "keyword")
			if rapid.Bool().Draw(r, "part") {
				whole := []rune(rapid.SampledFrom(known).Draw(r, "of"))
				from := rapid.IntRange(0, len(whole)).Draw(r, "from")
				keyword = string(whole[from:min(len(whole), from+rapid.IntRange(1, 12).Draw(r, "length"))])
			}
			if rapid.IntRange(0, 19).Draw(r, "odd") == 0 {
				keyword += rapid.SampledFrom([]string{"\x00", "\xff", "\x00a"}).Draw(r, "odd bytes")
			}
			registry := rapid.SampledFrom([]string{"", "", "hub", "mirror", "unknown"}).Draw(r, "at")
			if keyword == "" && registry == "" {
				continue
			}
			f := gate.ImageFilter{Keyword: keyword, Registry: registry, Limit: rapid.IntRange(1, 8).Draw(r, "limit")}
			for {
				where, limit, err := imageConditions(f, false)
				if err != nil {
					r.Fatal(err)
				}
				want, err := c.listed(t.Context(), scanQuery(where, pattern(keyword), limit))
				if err != nil {
					r.Fatal(err)
				}
				got, next, err := c.Images(t.Context(), f)
				if err != nil {
					r.Fatalf("keyword %q: %v", keyword, err)
				}
				if diff := cmp.Diff(digests(want[:min(len(want), limit)]), digests(got)); diff != "" || (next != "") != (len(want) > limit) {
					r.Fatalf("keyword %q, %+v, next %q (-scan +search):\n%s", keyword, c.search, next, diff)
				}
				if f.Cursor = next; next == "" {
					break
				}
			}
		}
	})
}

// wantNames checks that exactly the names are kept that something has, and that the index
// of their parts is that of these names.
func wantNames(t testing.TB, c *Catalog) {
	t.Helper()
	names := func(query string) []string {
		t.Helper()
		list, err := all(t.Context(), c, "reading names", column[string], query)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	want := names("SELECT digest AS name FROM images UNION SELECT repository FROM locations UNION SELECT tag FROM tags ORDER BY name")
	if diff := cmp.Diff(want, names("SELECT name FROM names ORDER BY name")); diff != "" {
		t.Errorf("names (-used +kept):\n%s", diff)
	}
	if _, err := c.db().ExecContext(t.Context(), "INSERT INTO names_parts (names_parts, rank) VALUES ('integrity-check', 1)"); err != nil {
		t.Errorf("the index of the names' parts: %v", err)
	}
}

func digests(list []gate.ListedImage) []gate.Digest {
	out := []gate.Digest{}
	for _, i := range list {
		out = append(out, i.Digest)
	}
	return out
}
