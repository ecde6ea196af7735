package vex

import (
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	goNet = "pkg:golang/golang.org/x/net@v0.40.0"
	goApp = "pkg:golang/example.com/app@v1.2.3"
)

// TestWhoseWordTheApplicationIs: the author of an image calls a program by the name of the
// vendor's application. That hides nothing, unless a digest says which image it is, or the
// operator trusts the authors.
func TestWhoseWordTheApplicationIs(t *testing.T) {
	doc, err := Parse([]byte(openvexDoc(openvexStatement("CVE-2026-0001", notAffected, product(goApp, goNet))+","+openvexStatement("CVE-2026-0002", affected, product(goApp, goNet)))), now)
	if err != nil {
		t.Fatal(err)
	}
	forged := finding("CVE-2026-0001", goNet)
	forged.Root = goApp
	for name, c := range map[string]struct {
		applications bool
		digest       gate.Digest
		want         bool
	}{
		"named_by_the_image":     {false, "", false},
		"by_the_operator":        {true, "", true},
		"signed_for_the_image":   {false, image, true},
		"signed_for_another_one": {false, "sha256:" + gate.Digest(strings.Repeat("e", 64)), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := Source{Name: "acme", Repositories: []string{"prod/**"}, MaxAge: 100 * 24 * time.Hour, Applications: c.applications, Document: *doc}
			if c.digest != "" {
				one := *doc
				one.Statements = nil
				for _, st := range doc.Statements {
					st.Digest = c.digest
					one.Statements = append(one.Statements, st)
				}
				s.Document = one
			}
			settled := s
			settled.Settle()
			for _, one := range []Source{s, settled} { // a table of an earlier version is not settled
				_, ok := NewIndex(&Table{Sources: []Source{one}}).Hides(gate.Whereabouts{Digest: image, Location: gate.Location{Registry: "prod", Repository: "a"}}, forged, now)
				if ok != c.want {
					t.Errorf("hidden %t, want %t", ok, c.want)
				}
			}
			refused := 0
			if !c.applications && c.digest == "" {
				refused = 1
			}
			if got := settled.Document.Refused[namedApplication]; got != refused || len(settled.Document.Statements) != 2-refused {
				t.Errorf("refused %d of them, kept %d", got, len(settled.Document.Statements))
			}
			if s.Document.Refused[namedApplication] != 0 {
				t.Error("the document that is settled has changed")
			}
		})
	}
	with := Source{Name: "acme", Repositories: []string{"prod/**"}, MaxAge: time.Hour, Applications: true, Document: *doc}
	without := with
	without.Applications = false
	if len(Changed(&Table{Sources: []Source{with}}, &Table{Sources: []Source{without}})) == 0 {
		t.Error("what an operator withdraws touches no verdict")
	}
}

// TestApplicationsNeedAPlace: who is trusted with the name is said by registry.
func TestApplicationsNeedAPlace(t *testing.T) {
	for pattern, want := range map[string]bool{"harbor/acme/**": true, "harbor/**": true, "**": false, "*/acme/**": false, "{harbor,other}/acme/*": false, "harbo?/**": false} {
		c := Config{Name: "acme", Path: "/x", Checksum: string(image), MaxAge: time.Hour, Repositories: []string{pattern}}
		if err := c.Validate(); err != nil {
			t.Errorf("%s without applications: %v", pattern, err)
		}
		c.Applications = true
		if err := c.Validate(); (err == nil) != want {
			t.Errorf("%s with applications: got %v", pattern, err)
		}
	}
}
