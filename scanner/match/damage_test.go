package match_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/match"
)

// TestMatch_bad_advisory: an advisory on which the detector panics, or that is
// no JSON, makes the images that have the package unassessable and no others.
func TestMatch_bad_advisory(t *testing.T) {
	for name, value := range map[string]string{
		"panics":  `{"FixedVersion":"9-1","Severity":99}`,
		"no_json": `{"FixedVersion":}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir, g := build(t, release(2, "2-1"))
			db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bolt.Tx) error {
				return tx.Bucket([]byte("debian 12")).Bucket([]byte("p1")).Put([]byte("CVE-2024-1001"), []byte(value))
			})
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			m := match.New(nil, now)
			t.Cleanup(func() { _ = m.Close() })
			if err := m.Load(t.Context(), dir, g); err != nil {
				t.Fatal(err)
			}
			if f := find(t, m, installed(2)); !strings.Contains(f.Unassessable, "a detector failed on the inventory") {
				t.Errorf("Unassessable: got %q", f.Unassessable)
			}
			if f := find(t, m, installed(1)); f.Unassessable != "" || len(f.Vulnerabilities) != 1 {
				t.Errorf("another image: got %q, %v", f.Unassessable, rows(f))
			}
		})
	}
}

// TestMatch_memory_fault: a file that shrinks under the mapping is an error of
// the data and ends neither the process nor the image's old findings.
func TestMatch_memory_fault(t *testing.T) {
	dir, g := build(t, release(300, "2-1"))
	m := match.New(nil, now)
	t.Cleanup(func() { _ = m.Close() })
	if err := m.Load(t.Context(), dir, g); err != nil {
		t.Fatal(err)
	}
	inv := installed(300)
	find(t, m, inv)
	if err := os.Truncate(filepath.Join(dir, "trivy.db"), 4096*2); err != nil {
		t.Fatal(err)
	}
	if f, err := m.Match(t.Context(), inv); !errors.Is(err, gate.ErrAdvisoriesUnavailable) {
		t.Errorf("got %+v %v, want ErrAdvisoriesUnavailable", f, err)
	}
	// The next content works again.
	next, gen := build(t, release(1, "3-1"))
	gen.Number = 2
	if err := m.Load(t.Context(), next, gen); err != nil {
		t.Fatal(err)
	}
	if f := find(t, m, installed(1)); len(f.Vulnerabilities) != 1 {
		t.Errorf("after loading again: got %v", rows(f))
	}
}
