package supply_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/download"
	"github.com/digestgate/digestgate/scanner/advisory/source"
	"github.com/digestgate/digestgate/scanner/advisory/supply"
)

// pair makes a key and says where its two halves are.
func pair(t *testing.T, name string) (private, public string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, public = filepath.Join(t.TempDir(), name+".key"), filepath.Join(t.TempDir(), name+".pub")
	err = errors.Join(os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

// TestBundleNeedsItsSignature: with advisories.keys, or with keys of the source, which then
// count instead, a bundle is taken only if one of them has signed it, also one that had been
// taken before there were keys.
func TestBundleNeedsItsSignature(t *testing.T) {
	built := filepath.Join(t.TempDir(), "db")
	if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: fstest.MapFS{"a.json": &fstest.MapFile{Data: []byte(entry("X-1"))}}, Out: built, Now: func() time.Time { return clock }}); err != nil {
		t.Fatal(err)
	}
	bundle := func(private string) (file, sum string) {
		t.Helper()
		var sign func([]byte) ([]byte, error)
		if private != "" {
			signer, err := download.LoadSigner(private, "")
			if err != nil {
				t.Fatal(err)
			}
			sign = func(content []byte) ([]byte, error) { return signer.Envelope(content, advisory.BundleType) }
		}
		var b bytes.Buffer
		if _, err := advisory.ExportSigned(t.Context(), built, &b, clock, sign); err != nil {
			t.Fatal(err)
		}
		file = filepath.Join(t.TempDir(), "acme.bundle")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return file, fmt.Sprintf("%x", sha256.Sum256(b.Bytes()))
	}
	ourKey, ours := pair(t, "ours")
	theirKey, theirs := pair(t, "theirs")
	unsigned, sum := bundle("")
	signed, _ := bundle(ourKey)
	foreign, _ := bundle(theirKey)
	for name, c := range map[string]struct {
		path, sum string
		all, own  []string // advisories.keys, and those of the source
		want      string
	}{
		"no keys":                   {path: unsigned},
		"signed, no keys":           {path: signed},
		"signed":                    {path: signed, all: []string{theirs, ours}},
		"unsigned":                  {path: unsigned, all: []string{ours}, want: "it is not signed"},
		"unsigned, with a checksum": {path: unsigned, sum: sum, all: []string{ours}, want: "it is not signed"},
		"by another":                {path: foreign, all: []string{ours}, want: "none of advisories.keys has made it"},
		"own keys":                  {path: foreign, all: []string{ours}, own: []string{theirs}},
		"not the own keys":          {path: signed, all: []string{ours}, own: []string{theirs}, want: "none of advisories.keys has made it"},
		"a directory":               {path: built, all: []string{ours}},
		"a directory with own keys": {path: built, own: []string{ours}, want: "a directory, which cannot be signed"},
		"a key that has gone":       {path: signed, all: []string{ours + ".gone"}, want: "reading the public key"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSupply(t, func(in *source.Config, o *supply.Options) {
				in.Path, in.SHA256, in.Keys, o.Keys = c.path, c.sum, c.own, c.all
			})
			d, db, err := fetch(t, s, "")
			switch {
			case c.want == "" && (err != nil || db.Summary.Advisories() != 1):
				t.Errorf("got %+v, %v", d, err)
			case c.want != "" && (!errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want ErrInvalid with %q", err, c.want)
			}
		})
	}

	before, _, err := fetch(t, newSupply(t, func(in *source.Config, _ *supply.Options) { in.Path = unsigned }), "")
	if err != nil {
		t.Fatal(err)
	}
	now := newSupply(t, func(in *source.Config, o *supply.Options) { in.Path, o.Keys = unsigned, []string{ours} })
	if _, _, err := fetch(t, now, before.Manifest); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("taken before there were keys: got %v, want ErrInvalid", err)
	}
	now = newSupply(t, func(in *source.Config, o *supply.Options) { in.Path, o.Keys = signed, []string{ours} })
	first, _, err := fetch(t, now, "")
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := fetch(t, now, first.Manifest); err != nil || again != nil {
		t.Errorf("settled: got %+v, %v", again, err)
	}
}
