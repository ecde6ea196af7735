package advisory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// TestDatabaseAloneKeepsItsIndex: where no other source has data yet, a newer database keeps
// the index, and is not downloaded again because it is in force with one.
func TestDatabaseAloneKeepsItsIndex(t *testing.T) {
	c := newComposite(t)
	java := &mirror{t: t, own: true, java: true, known: map[gate.Digest]string{}}
	away := fmt.Errorf("no route: %w", gate.ErrRegistryUnavailable)
	c.acme.fail(away)
	c.zeta.fail(away)
	c.mirror.offer(fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1"}))
	java.offer(indexOf(t, 24, 100))
	n := c.start("", true)
	n.withIndex(java)
	n.turn(t)
	c.mirror.offer(fixes(t, 3, map[string]string{"12/openssl/CVE-2025-1": "2"}))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	if j, g := n.java(), n.m.Status().Generation.Number; j == nil || g != 3 {
		t.Fatalf("generation %d with the index %+v", g, j)
	}
	_, downloads := c.mirror.counts()
	for range 2 {
		c.clock.move(6 * time.Hour)
		n.turn(t)
	}
	if _, now := c.mirror.counts(); now != downloads || n.m.Status().Generation.Number != 3 {
		t.Errorf("nothing is new: %d more downloads, generation %d", now-downloads, n.m.Status().Generation.Number)
	}
	// A process that starts removes what is not needed; the database without its index is
	// needed to be composed with what is to come.
	plain := c.status().InForce.Sources[0].Digest.Hex()
	n = c.start(n.dir, true)
	n.withIndex(java)
	n.want(t, "after a restart", 3, "no route")
	if names := strings.Join(keptNames(t, n), " "); !strings.Contains(names, plain) {
		t.Errorf("the database without its index, %s, is not kept: %s", plain, names)
	}
	c.acme.fail(nil)
	c.acme.offer(fixes(t, 4, map[string]string{"12/openssl/CVE-2025-3": "3"}))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	if j, v := n.java(), c.status().InForce; j == nil || len(v.Sources) != 2 {
		t.Errorf("index %+v of %+v", j, v)
	}
	if _, now := c.mirror.counts(); now != downloads {
		t.Errorf("the database was downloaded again to be composed: %d times", now-downloads)
	}
}
