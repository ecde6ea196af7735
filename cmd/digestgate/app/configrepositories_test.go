package app

import (
	"bytes"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/cmd/digestgate/document"
)

// TestRepositoriesAreTextsOrKeys: what is printed is what was written, and can be read.
func TestRepositoriesAreTextsOrKeys(t *testing.T) {
	read := func(text string) (Config, *document.Document) {
		c := DefaultConfig()
		d := document.New(&c)
		d.ReadFile("c.yaml", strings.NewReader(text))
		return c, d
	}
	const written = `advisories:
  repositories:
    - r.example.com/trivy-db:2
    - repository: s.example.com/trivy-db:2
      username: ""
      passwordFile: ""
      caFile: ""
      insecure: true
      own: false
`
	c, d := read(written)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	if got := c.Advisories.Repositories; len(got) != 2 || got[0].Repository != "r.example.com/trivy-db:2" || got[0].Insecure || !got[1].Insecure {
		t.Errorf("got %+v", got)
	}
	var printed bytes.Buffer
	enc := yaml.NewEncoder(&printed)
	enc.SetIndent(2)
	if err := enc.Encode(map[string]any{"advisories": map[string]any{"repositories": c.Advisories.Repositories}}); err != nil {
		t.Fatal(err)
	}
	if printed.String() != written {
		t.Errorf("printed %s", printed.String())
	}
	c, _ = read("advisories: {repositories: [{repository: 'https://x', caFile: /absent}, {repository: r.example.com/x:2, caFile: /absent}]}\noutbound: {allow: ['*']}\n")
	var found []string
	for _, f := range c.findings() {
		found = append(found, f.Path)
	}
	for _, want := range []string{"advisories.repositories[0]", "advisories.repositories[1].caFile", "outbound.allow[0]"} {
		if !strings.Contains(strings.Join(found, " "), want) {
			t.Errorf("found %q, want %q", found, want)
		}
	}
}
