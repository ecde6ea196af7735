package vex

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestManyStatements: 100,000 statements are read and found, and hide what they name and
// nothing else; more than are taken refuse the document as a whole.
func TestManyStatements(t *testing.T) {
	var list strings.Builder
	one := func(i int) {
		if i > 0 {
			list.WriteByte(',')
		}
		fmt.Fprintf(&list, `{"vulnerability": {"name": "CVE-2025-%06d"}, "status": "not_affected", "justification": "component_not_present", "products": [{"@id": %q, "subcomponents": [{"@id": "pkg:npm/p%d@1.0.0"}]}]}`, i, oci, i)
	}
	for i := range 100_000 {
		one(i)
	}
	doc, err := Parse([]byte(openvexDoc(list.String())), now)
	if err != nil || len(doc.Statements) != 100_000 {
		t.Fatalf("got %v", err)
	}
	x := NewIndex(&Table{Sources: []Source{{Name: "acme", Repositories: []string{"**"}, MaxAge: 100 * 24 * time.Hour, Document: *doc}}})
	w := gate.Whereabouts{Digest: image, Location: gate.Location{Registry: "prod", Repository: "a"}}
	for i := range 1000 {
		id, purl := fmt.Sprintf("CVE-2025-%06d", i), fmt.Sprintf("pkg:npm/p%d@1.0.0", i)
		if _, ok := x.Hides(w, finding(id, purl), now); !ok {
			t.Fatalf("%s of %s is live", id, purl)
		}
		if _, ok := x.Hides(w, finding(id, fmt.Sprintf("pkg:npm/p%d@1.0.0", i+1)), now); ok {
			t.Fatalf("%s of another package is hidden", id)
		}
	}
	c := newCollector("x", now)
	for range maxStatements + 1 {
		c.add(claim{ids: []string{"CVE-2026-0001"}, status: affected, product: identity{purl: libssl}})
	}
	if _, err := c.done(); err == nil {
		t.Error("a document with more statements than are taken counts")
	}
}

// TestNoStatementHidesWhatItDoesNotName: whatever documents of all formats say about
// products, versions and digests, a finding is hidden only by a statement that names its
// vulnerability, its package and, by digest or by version, nothing wider.
func TestNoStatementHidesWhatItDoesNotName(t *testing.T) {
	const seeds = 1500
	digests := []string{string(image), string(another), "sha512:" + strings.Repeat("c", 128), "sha256:" + strings.Repeat("A", 64), "sha256:*", "latest", "", "*"}
	versions := []string{"1.0.0", "2.0.0", "", "*", "%2A", "vers:npm/>=0", ">=0", "1.0.0 ", "1.*"}
	names := []string{"left-pad", "right-pad", "*", "%2A"}
	types := []string{"npm", "deb", "oci", "docker", "generic", "*"}
	states := []string{notAffected, fixed, affected, underInvestigation, "harmless"}
	ids := []string{"CVE-2026-0001", "CVE-2026-0002", "cve-2026-0001", "GHSA-aaaa-bbbb-cccc", "*", "", "CVE-2026-*"}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 5))
		pick := func(list []string) string { return list[r.IntN(len(list))] }
		purl := func() string {
			u := "pkg:" + pick(types) + "/" + pick(names)
			if v := pick(versions); v != "" {
				u += "@" + v
			}
			return u
		}
		product := func() string {
			switch r.IntN(3) {
			case 0:
				return "pkg:oci/app@" + pick(digests)
			case 1:
				return "app@" + pick(digests)
			}
			return purl()
		}
		var list []string
		for range 1 + r.IntN(4) {
			s := map[string]any{"vulnerability": map[string]any{"name": pick(ids)}, "status": pick(states), "justification": "component_not_present"}
			p := map[string]any{"@id": product()}
			if r.IntN(4) == 0 {
				p["hashes"] = map[string]string{pick([]string{"sha-256", "sha-512", "md5"}): pick([]string{image.Hex(), another.Hex(), "00"})}
			}
			if r.IntN(2) == 0 {
				p["subcomponents"] = []any{map[string]any{"@id": purl()}}
			}
			s["products"] = []any{p}
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, string(text))
		}
		doc, err := Parse([]byte(openvexDoc(strings.Join(list, ","))), now)
		if err != nil {
			continue
		}
		v := &gate.Vulnerability{ID: "CVE-2026-0001", PURL: "pkg:npm/left-pad@1.0.0", Root: pick([]string{"", "pkg:npm/right-pad@2.0.0"})}
		for root, applications := range map[string]bool{v.Root: true, "": false} {
			x := NewIndex(&Table{Sources: []Source{{Name: "acme", Repositories: []string{"**"}, MaxAge: 100 * 24 * time.Hour, Applications: applications, Document: *doc}}})
			if _, ok := x.Hides(gate.Whereabouts{Digest: image, Location: gate.Location{Registry: "prod", Repository: "a"}}, v, now); ok && !named(list, root) {
				t.Fatalf("seed %d: a finding of %s is hidden by\n%s", seed, v.PURL, strings.Join(list, "\n"))
			}
		}
	}
}

// named reports by the texts alone whether a statement names the finding of
// pkg:npm/left-pad@1.0.0 in the image.
func named(list []string, root string) bool {
	for _, text := range list {
		lower := strings.ToLower(text)
		switch {
		case !strings.Contains(lower, `"cve-2026-0001"`), !strings.Contains(text, notAffected) && !strings.Contains(text, `"fixed"`):
		case strings.Contains(text, `"@id":"pkg:npm/left-pad@1.0.0"`) && !strings.Contains(text, "subcomponents"): // one package with its version
			return true
		case !strings.Contains(text, `"subcomponents":[{"@id":"pkg:npm/left-pad`):
		case strings.Contains(text, `"subcomponents":[{"@id":"pkg:npm/left-pad@`) && !strings.Contains(text, `"subcomponents":[{"@id":"pkg:npm/left-pad@1.0.0"`):
		case strings.Contains(lower, image.Hex()): // the image
			return true
		case root != "" && strings.Contains(text, `"@id":"`+root+`"`): // the application
			return true
		}
	}
	return false
}
