package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// fill puts an artifact under the given tags of each repository.
func fill(t *testing.T, r *fake.Registry, repositories []string, tags ...string) {
	t.Helper()
	for _, repo := range repositories {
		for _, tag := range tags {
			if _, err := r.PutArtifact(repo, tag, fake.Artifact{Annotations: map[string]string{"tag": tag}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestListsRepositoriesAndTags(t *testing.T) {
	held := []string{"library/a", "library/b/c", "other/d", "team/e"}
	tags := []string{"latest", "v1", "v2", "v3", "v4"}
	basic := fake.Options{Auth: fake.AuthBasic, Username: "robot$gate", Password: "secret"}
	bearer := basic
	bearer.Auth = fake.AuthBearer
	for name, c := range map[string]struct {
		kind    string
		o       fake.Options
		digests bool
	}{
		"catalog":          {kind: "distribution"},
		"catalog_pages":    {kind: "distribution", o: fake.Options{PageSize: 2}},
		"catalog_token":    {kind: "quay", o: bearer},
		"harbor":           {kind: "harbor", o: fake.Options{Harbor: true}, digests: true},
		"harbor_basic":     {kind: "harbor", o: fake.Options{Harbor: true, NoCatalog: true, Auth: fake.AuthBearer, Username: "robot$gate", Password: "secret"}, digests: true},
		"harbor_projects":  {kind: "harbor", o: fake.Options{Harbor: true, HarborProjectsOnly: true, NoCatalog: true}, digests: true},
		"harbor_robot":     {kind: "harbor", o: fake.Options{Harbor: true, HarborPublic: []string{"team"}, NoCatalog: true}, digests: true},
		"harbor_private":   {kind: "harbor", o: fake.Options{Harbor: true, HarborPublic: []string{}, NoCatalog: true}, digests: true},
		"harbor_other_api": {kind: "harbor", o: fake.Options{PageSize: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.o, func(cfg *Config, _ *Options) { cfg.Type, cfg.Exclude = c.kind, []string{"other/**"} })
			fill(t, r.Registry, held, tags...)
			list, err := r.client.Repositories(t.Context(), "test")
			if diff := cmp.Diff([]string{"library/a", "library/b/c", "team/e"}, list.Names); err != nil || diff != "" || !list.Complete || list.Note != "" {
				t.Errorf("Repositories: %+v, %v\n%s", list, err, diff)
			}
			got, err := r.client.Tags(t.Context(), gate.Location{Registry: "test", Repository: "library/b/c"})
			if err != nil || !got.Complete || len(got.Tags) != len(tags) {
				t.Fatalf("Tags: %+v, %v", got, err)
			}
			for n, tag := range got.Tags {
				if tag.Tag != tags[n] || tag.Digest.Valid() != c.digests {
					t.Errorf("tag %d: %+v, want %s with digest %t", n, tag, tags[n], c.digests)
				}
			}
			if _, err := r.client.Tags(t.Context(), gate.Location{Registry: "test", Repository: "library/none"}); !errors.Is(err, gate.ErrNotFound) {
				t.Errorf("Tags of nothing: %v", err)
			}
			if n := r.Count("", "/blobs/") + r.Count("", "/manifests/"); n != 0 {
				t.Errorf("%d requests for content", n)
			}
		})
	}
}

// TestHarborProjects: what a robot may list does not depend on how include
// names it, and what it may not list is said.
func TestHarborProjects(t *testing.T) {
	held := []string{"library/a", "other/d", "team/e", "team/f"}
	robot := fake.Options{Harbor: true, HarborPublic: []string{"other"}, NoCatalog: true}
	denied := func(projects ...string) fake.Options {
		o := robot
		o.HarborDenied = projects
		return o
	}
	for name, c := range map[string]struct {
		include []string
		o       fake.Options
		want    []string
		note    string // a part of it
		err     error
	}{
		"projects":             {include: []string{"library/**", "team/e", "team/f*"}, o: robot, want: []string{"library/a", "team/e", "team/f"}},
		"a_name_and_any":       {include: []string{"team/e", "**/f"}, o: robot, want: []string{"team/e", "team/f"}},
		"one_is_denied":        {include: []string{"library/**", "team/**"}, o: denied("library"), want: []string{"team/e", "team/f"}, note: "project library"},
		"one_of_all_denied":    {o: denied("library"), want: []string{"other/d", "team/e", "team/f"}, note: "project library"},
		"everything_denied":    {include: []string{"library/**", "team/**"}, o: denied("library", "team"), err: gate.ErrRegistryAuth},
		"no_such_project":      {include: []string{"library/**", "gone/**"}, o: denied("gone"), want: []string{"library/a"}, note: "project gone"},
		"catalog_in_its_stead": {include: []string{"library/**"}, o: fake.Options{}, want: []string{"library/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.o, func(cfg *Config, _ *Options) { cfg.Type, cfg.Include = "harbor", c.include })
			fill(t, r.Registry, held, "v1")
			list, err := r.client.Repositories(t.Context(), "test")
			if diff := cmp.Diff(c.want, list.Names); !errors.Is(err, c.err) || diff != "" {
				t.Fatalf("Repositories: %+v, %v\n%s", list, err, diff)
			}
			if err == nil && (list.Complete != (c.note == "") || !strings.Contains(list.Note, c.note)) {
				t.Errorf("complete %t, note %q, want %q", list.Complete, list.Note, c.note)
			}
		})
	}
}

func TestHarborPages(t *testing.T) {
	r := newRig(t, fake.Options{Harbor: true}, func(cfg *Config, _ *Options) { cfg.Type = "harbor" })
	var tags []string
	for n := range 250 {
		tags = append(tags, fmt.Sprintf("t%03d", n))
	}
	fill(t, r.Registry, []string{"library/a"}, tags...)
	list, err := r.client.Tags(t.Context(), gate.Location{Registry: "test", Repository: "library/a"})
	if err != nil || len(list.Tags) != 250 || !list.Complete {
		t.Errorf("Tags: %d, complete %t, %v", len(list.Tags), list.Complete, err)
	}
	if n := r.Count(http.MethodGet, "/artifacts"); n != 3 {
		t.Errorf("%d pages", n)
	}
}

func TestConfiguredRepositories(t *testing.T) {
	for name, c := range map[string]struct {
		kind     string
		include  []string
		want     []string
		complete bool
		asks     bool
	}{
		"no_catalog":           {kind: "ghcr", include: []string{"org/a", "org/b"}, want: []string{"org/a", "org/b"}, complete: true},
		"no_catalog_wildcard":  {kind: "swr", include: []string{"org/a", "org/**"}, want: []string{"org/a"}},
		"no_catalog_nothing":   {kind: "ecr", include: nil},
		"names_spare_the_list": {kind: "distribution", include: []string{"org/a"}, want: []string{"org/a"}, complete: true},
		"both":                 {kind: "distribution", include: []string{"org/z", "team/*"}, want: []string{"org/z", "team/app"}, complete: true, asks: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{}, func(cfg *Config, _ *Options) { cfg.Type, cfg.Include = c.kind, c.include })
			fill(t, r.Registry, []string{"team/app"}, "v1")
			list, err := r.client.Repositories(t.Context(), "test")
			if diff := cmp.Diff(c.want, list.Names); err != nil || diff != "" || list.Complete != c.complete || (list.Note == "") != c.complete {
				t.Errorf("Repositories: %+v, %v\n%s", list, err, diff)
			}
			if asked := r.Count("", "_catalog") > 0; asked != c.asks {
				t.Errorf("asked for the catalog: %t", asked)
			}
		})
	}
}

// TestHostileLists: whatever a registry answers costs a bounded amount, and
// only names get out.
func TestHostileLists(t *testing.T) {
	names := func(list ...string) []byte {
		b, err := json.Marshal(map[string]any{"tags": list})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	million := make([]string, 1_000_000)
	for n := range million {
		million[n] = fmt.Sprintf("t%d", n)
	}
	link := func(target string) http.Header { return http.Header{"Link": {"<" + target + `>; rel="next"`}} }
	for name, c := range map[string]struct {
		body     []byte
		header   http.Header
		tags     int
		complete bool
		requests int // at most
		err      error
	}{
		"wrong_names":     {body: names("v1", "../../secret", "a b", "\x1b[31m", strings.Repeat("x", 129), "", "v1"), tags: 1, complete: true, requests: 1},
		"endless_link":    {body: names("v1"), header: link("/v2/team/app/tags/list?last=v1"), tags: 1, requests: 3},
		"foreign_link":    {body: names("v1"), header: link("http://169.254.169.254/latest?last=v1"), tags: 1, requests: 3},
		"link_to_nothing": {body: names("v1"), header: link("::"), tags: 1, requests: 1},
		"a_million":       {body: names(million...), tags: MaxTags, requests: 1},
		"oversize":        {body: []byte(`{"tags":["` + strings.Repeat("x", maxPageBytes) + `"]}`), requests: 1, err: gate.ErrTooLarge},
		"null":            {body: []byte(`{"tags":null}`), complete: true, requests: 1},
		"no_json":         {body: []byte(`<html>`), requests: 1, err: gate.ErrRegistryUnavailable},
		"other_shape":     {body: []byte(`{"tags":{"a":1}}`), requests: 1, err: gate.ErrRegistryUnavailable},
		"array":           {body: []byte(`[1]`), requests: 1, err: gate.ErrRegistryUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{})
			r.Fail(fake.Fault{Path: "/v2/**/tags/list", Body: c.body, Header: c.header})
			list, err := r.client.Tags(t.Context(), r.loc)
			if !errors.Is(err, c.err) || len(list.Tags) != c.tags || list.Complete != c.complete {
				t.Errorf("Tags: %d tags, complete %t, note %q, %v", len(list.Tags), list.Complete, list.Note, err)
			}
			for _, tag := range list.Tags {
				if !gate.ValidTag(tag.Tag) {
					t.Errorf("%q got out", tag.Tag)
				}
			}
			if n := len(r.Requests()); n > c.requests {
				t.Errorf("%d requests, want at most %d", n, c.requests)
			}
		})
	}
}

func TestListFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault fake.Fault
		err   error
	}{
		"refused": {fake.Fault{Status: 403}, gate.ErrRegistryAuth},
		"down":    {fake.Fault{Status: 500}, gate.ErrRegistryUnavailable},
		"limited": {fake.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}}, gate.ErrRegistryUnavailable},
		"broken":  {fake.Fault{Reset: true}, gate.ErrRegistryUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{})
			r.Fail(c.fault)
			_, err := r.client.Repositories(t.Context(), "test")
			var wait *gate.RetryAfterError
			if !errors.Is(err, c.err) || errors.As(err, &wait) != (name == "limited") {
				t.Errorf("Repositories: %v", err)
			}
		})
	}
	if _, err := newRig(t, fake.Options{}).client.Repositories(t.Context(), "nobody"); !errors.Is(err, gate.ErrRegistryNotTrusted) {
		t.Errorf("Repositories of an unknown registry: %v", err)
	}
}
