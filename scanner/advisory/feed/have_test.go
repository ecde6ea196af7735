package feed_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/feed"
)

// TestOfflineChecksum: without a request too, the file that is kept is the one that the
// configuration wants.
func TestOfflineChecksum(t *testing.T) {
	good := []byte(`{"id":"X"}`)
	at := "/r/repodata/repomd.xml"
	list := repomd("repodata/u.xml", "sha256", sum(good))
	s, f, url := start(t, map[string][]byte{
		"/x.json": good, "/x.json.sha256": []byte(sum(good)), at: list, "/r/repodata/u.xml": good,
	})
	other := strings.Repeat("0", 64)
	for name, c := range map[string]struct{ fetched, wanted feed.Feed }{
		"digits":             {feed.Feed{URL: url + "/x.json"}, feed.Feed{URL: url + "/x.json", SHA256: sum(good)}},
		"capital_digits":     {feed.Feed{URL: url + "/x.json"}, feed.Feed{URL: url + "/x.json", SHA256: strings.ToUpper(sum(good))}},
		"url":                {feed.Feed{URL: url + "/x.json", SHA256: url + "/x.json.sha256"}, feed.Feed{URL: url + "/x.json", SHA256: url + "/x.json.sha256"}},
		"repository":         {feed.Feed{URL: url + at, SHA256: sum(list)}, feed.Feed{URL: url + at, SHA256: sum(list)}},
		"other":              {feed.Feed{URL: url + "/x.json"}, feed.Feed{URL: url + "/x.json", SHA256: other}},
		"other_than_before":  {feed.Feed{URL: url + "/x.json", SHA256: sum(good)}, feed.Feed{URL: url + "/x.json", SHA256: other}},
		"url_not_compared":   {feed.Feed{URL: url + "/x.json"}, feed.Feed{URL: url + "/x.json", SHA256: url + "/x.json.sha256"}},
		"other_url":          {feed.Feed{URL: url + "/x.json", SHA256: url + "/x.json.sha256"}, feed.Feed{URL: url + "/x.json", SHA256: url + "/y.sha256"}},
		"other_repository":   {feed.Feed{URL: url + at}, feed.Feed{URL: url + at, SHA256: sum(list)}},
		"of_the_file_inside": {feed.Feed{URL: url + at}, feed.Feed{URL: url + at, SHA256: sum(good)}},
	} {
		t.Run(name, func(t *testing.T) {
			f.Dir = t.TempDir()
			for range 2 { // the second time nothing is transferred
				if _, _, err := f.Fetch(t.Context(), c.fetched); err != nil {
					t.Fatal(err)
				}
			}
			requests := s.bodies
			refused := strings.Contains(name, "other") || strings.Contains(name, "not_") || strings.Contains(name, "inside")
			file, err := f.Have(c.wanted)
			if refused != errors.Is(err, gate.ErrIntegrity) || !refused && (err != nil || file.Sum.Hex() != sum(good)) {
				t.Errorf("got %+v, %v", file, err)
			}
			if s.bodies != requests {
				t.Error("it was asked for")
			}
		})
	}
	if _, _, err := f.Fetch(t.Context(), feed.Feed{URL: url + at, SHA256: other}); !errors.Is(err, gate.ErrIntegrity) {
		t.Errorf("a repomd.xml with another checksum: got %v", err)
	}
}
