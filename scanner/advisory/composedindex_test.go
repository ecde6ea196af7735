package advisory_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestCompositionKeepsItsIndex: the index of Java archives stays when a source changes, the
// composition stays when the index does, and a process that has to compose again makes the
// same content.
func TestCompositionKeepsItsIndex(t *testing.T) {
	c := newComposite(t)
	java := &mirror{t: t, own: true, java: true, known: map[gate.Digest]string{}}
	c.mirror.offer(fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1"}))
	c.acme.offer(fixes(t, 1, map[string]string{"12/openssl/CVE-2025-3": "3"}))
	c.zeta.offer(fixes(t, 2, map[string]string{"12/zlib/CVE-2025-3": "3"}))
	java.offer(indexOf(t, 24, 100))
	n := c.start("", true)
	n.withIndex(java)
	n.turn(t)
	n.want(t, "three sources and an index", 2, "")
	if j := n.java(); j == nil || j.Archives != 100 {
		t.Fatalf("index %+v", j)
	}
	if v := c.status().InForce; len(v.Sources) != 3 {
		t.Errorf("the index took the place of the sources: %+v", v)
	}

	c.acme.offer(fixes(t, 3, map[string]string{"12/openssl/CVE-2025-3": "4"}))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	third := n.want(t, "another row", 3, "")
	if j := n.java(); j == nil || j.Archives != 100 {
		t.Errorf("a new composition has the index %+v", j)
	}
	java.offer(indexOf(t, 40, 110))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	fourth := n.want(t, "a newer index", 4, "")
	if j := n.java(); j == nil || j.Archives != 110 || fourth.Content == third.Content {
		t.Errorf("index %+v", j)
	}
	c.clock.move(6 * time.Hour)
	n.turn(t)
	n.want(t, "nothing new", 4, "")

	// All that is kept of the generation, and of the one before it, which has the same
	// database, is lost; the sources and the index are not.
	for _, g := range []gate.Generation{third, fourth} {
		if err := os.RemoveAll(filepath.Join(n.dir, "advisories", g.Content.Hex())); err != nil {
			t.Fatal(err)
		}
	}
	n.Tell(t.Context())
	second := c.start("", false)
	second.withIndex(java)
	second.turn(t)
	second.want(t, "composed again", 4, "")
	if j := second.java(); j == nil || j.Archives != 110 {
		t.Errorf("index %+v, %+v", j, second.m.Status())
	}
}
