package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/store/sqlite"
)

// TestSharedAuthority: replicas of admission have certificates of one
// authority, whoever makes it, and say so when theirs is replaced.
func TestSharedAuthority(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	keys := [][]byte{[]byte(strings.Repeat("1", 64))}
	served := func(dir string) *certificate.Certificate {
		t.Helper()
		c, err := certificate.New(certificate.Options{DataDir: dir, Names: []string{"localhost"}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	alone := t.TempDir() // a replica that had made its own
	own := served(alone).CABundle()
	var bundles []string
	for i, dir := range []string{t.TempDir(), t.TempDir(), alone} {
		replaced, err := sharedAuthority(dir).Share(t.Context(), s, keys)
		if err != nil || replaced != (dir == alone) {
			t.Fatalf("replica %d: replaced %t, %v", i, replaced, err)
		}
		bundles = append(bundles, string(served(dir).CABundle()))
		if info, err := os.Stat(certificate.AuthorityFile(dir)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file has mode %v, %v", info.Mode(), err)
		}
	}
	if bundles[0] != bundles[1] || bundles[0] != bundles[2] || bundles[0] == string(own) {
		t.Error("the replicas have different authorities")
	}
	stored, _, err := s.Setting(t.Context(), agree.SettingAuthority)
	if err != nil || strings.Contains(string(stored), "PRIVATE KEY") {
		t.Fatalf("the store shows the key: %q, %v", stored, err)
	}
	if agree.Opens(agree.SettingAdminToken, keys, stored) || !agree.Opens(agree.SettingAuthority, keys, stored) {
		t.Error("one secret is opened as another")
	}
}
