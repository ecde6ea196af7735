package sender

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
)

// TestSyncWithSmallPages: Distribution from 3.1 on refuses to be asked for more
// repositories than catalog.maxentries, and gives at most tags.maxtags tags at a
// time. A synchronisation finds all of them, without an event.
func TestSyncWithSmallPages(t *testing.T) {
	nowhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(nowhere.Close)
	g := newGate(t)
	d := startDistribution(t, nowhere.URL, g.hook, false, func(c *configuration.Configuration) {
		c.Catalog.MaxEntries, c.Tags.MaxTags = 3, 2
	})
	image := debian(t, "amd64", curlFixed, "clean")
	want := map[string][]string{}
	var digest string
	for n := range 8 {
		repository := fmt.Sprintf("team/app%d", n)
		for tag := range 1 + n%6 {
			name := fmt.Sprintf("v%d", tag)
			digest = d.push(t, repository, name, image)
			want[repository] = append(want[repository], name)
		}
	}
	g.configure(d.host)
	g.start()
	g.post("/registries/registry/sync", `{"full":true}`)
	g.until("all tags of all repositories", time.Minute, func() (string, bool) {
		got, _ := g.image(digest)
		found := map[string][]string{}
		for _, l := range got.Locations {
			slices.Sort(l.Tags)
			found[l.Repository] = l.Tags
		}
		return fmt.Sprintf("found %v, want %v", found, want), fmt.Sprint(found) == fmt.Sprint(want)
	})
	var status struct {
		State, Note, Error string
		Counts             struct{ Repositories, Tags, Problems int }
	}
	g.json("/registries/registry/sync", &status)
	if c := status.Counts; status.State != "done" || status.Note != "" || status.Error != "" || c.Repositories != 8 || c.Tags != 24 || c.Problems != 0 {
		t.Errorf("synchronisation: got %+v, want 8 repositories with 24 tags and nothing to note", status)
	}
	if got := g.deliveries(); len(got) != 0 {
		t.Errorf("deliveries: got %v, want none", got)
	}
}

// post asks the API for something as the administrator.
func (g *gate) post(path, body string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.http+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusAccepted {
		g.t.Fatalf("POST %s: %d %s", path, res.StatusCode, text)
	}
}
