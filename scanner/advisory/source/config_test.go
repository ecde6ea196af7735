package source_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/scanner/advisory/source"
)

func of(change func(c *source.Config)) source.Config {
	c := source.Default()
	c.Name, c.Feed = "acme", "https://feeds.example.com/all.zip"
	change(&c)
	return c
}

// TestValidate: every problem is named with its key.
func TestValidate(t *testing.T) {
	for want, list := range map[string][]source.Config{
		"": {of(func(c *source.Config) {}), of(func(c *source.Config) { c.Name, c.Feed, c.Path = "own", "", "/srv/own" }),
			of(func(c *source.Config) { c.Name, c.Feed, c.Repository = "team", "", "registry.example.com/team/db:2" }),
			of(func(c *source.Config) {
				c.Name, c.Distribution, c.Release, c.Epochs = "hce", "hce", "2.0", false
				c.SHA256 = "https://feeds.example.com/all.zip.sha256"
			})},
		`sources[0].name: got "Acme"`:        {of(func(c *source.Config) { c.Name = "Acme" })},
		`sources[0].name: got "", want`:      {of(func(c *source.Config) { c.Name = "" })},
		`sources[0].name: got "trivy-db"`:    {of(func(c *source.Config) { c.Name = "trivy-db" })},
		`sources[1].name: got "acme", which`: {of(func(c *source.Config) {}), of(func(c *source.Config) {})},
		`names 2 of path, repository and`:    {of(func(c *source.Config) { c.Path = "/srv" })},
		`names 0 of path, repository and`:    {of(func(c *source.Config) { c.Feed = "" })},
		`sources[0].path: got "srv"`:         {of(func(c *source.Config) { c.Feed, c.Path = "", "srv" })},
		`sources[0].feed: got "ftp://x/y"`:   {of(func(c *source.Config) { c.Feed = "ftp://x/y" })},
		`has credentials in it`:              {of(func(c *source.Config) { c.Feed = "https://a:b@x/y" })},
		`169.254.169.254`:                    {of(func(c *source.Config) { c.Feed = "http://169.254.169.254/latest" })},
		`sources[0].repository: `:            {of(func(c *source.Config) { c.Feed, c.Repository = "", "trivy-db" })},
		`sources[0].sha256: got "abc"`:       {of(func(c *source.Config) { c.SHA256 = "abc" })},
		`sources[0].keys: only a reposito`:   {of(func(c *source.Config) { c.Keys = []string{"/x"} })},
		`sources[0].keys: keys[0]: reading`:  {of(func(c *source.Config) { c.Feed, c.Path, c.Keys = "", "/srv/x", []string{"/x"} })},
		`only a repository has insecure`:     {of(func(c *source.Config) { c.Feed, c.Path, c.Insecure = "", "/srv/x", true })},
		`username and passwordFile`:          {of(func(c *source.Config) { c.Username = "x" })},
		`sources[0].release: got "2.0" w`:    {of(func(c *source.Config) { c.Release = "2.0" })},
		`are for a feed`:                     {of(func(c *source.Config) { c.Feed, c.Path, c.Epochs = "", "/srv", false })},
		`sources[0].maxAge: got -1ns`:        {of(func(c *source.Config) { c.MaxAge = -1 })},
		`sources[0].licence: got 201 bytes`:  {of(func(c *source.Config) { c.Licence = strings.Repeat("x", 201) })},
		`sources[0].replaces: an entry is`:   {of(func(c *source.Config) { c.Replaces = []string{" "} })},
		`sources[0].priority: got 1000001`:   {of(func(c *source.Config) { c.Priority = 1_000_001 })},
		`sources: got 51, want at most 50`:   many(51),
	} {
		err := errors.Join(source.Validate(list)...)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "a:b") {
			t.Errorf("a secret is shown: %v", err)
		}
	}
}

func many(n int) (list []source.Config) {
	for i := range n {
		list = append(list, of(func(c *source.Config) { c.Name = "s" + strings.Repeat("x", i%30) + string(rune('a'+i/30)) }))
	}
	return list
}

// TestOrdered: the lower number decides first, then the order in the file; what says
// nothing decides after trivy-db.
func TestOrdered(t *testing.T) {
	list := []source.Config{
		of(func(c *source.Config) { c.Name = "default" }), of(func(c *source.Config) { c.Name, c.Priority = "first", -1 }),
		of(func(c *source.Config) { c.Name = "also-default" }), of(func(c *source.Config) { c.Name, c.Priority = "zero", 0 }),
	}
	var names []string
	for _, c := range source.Ordered(list, true) {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, " "); got != "first trivy-db zero default also-default" {
		t.Errorf("got %s", got)
	}
	if got := len(source.Ordered(list, false)); got != 4 {
		t.Errorf("without trivy-db: %d", got)
	}
	if got := of(func(c *source.Config) { c.Feed = "https://x/y?token=secret" }).Where(); strings.Contains(got, "secret") {
		t.Errorf("a secret is shown: %s", got)
	}
}
