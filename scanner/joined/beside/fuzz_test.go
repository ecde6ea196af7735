package beside_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/joined/beside"
	"github.com/digestgate/digestgate/scanner/joined/vex"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// FuzzFind: whatever a registry lists, and whatever its manifests and blobs are, nothing
// counts that is not signed, and looking ends.
func FuzzFind(f *testing.F) {
	blob := []byte(`{"payloadType": "application/vnd.in-toto+json", "payload": "e30=", "signatures": [{"sig": "AA=="}]}`)
	manifest := []byte(`{"layers": [{"mediaType": "application/vnd.dsse.envelope.v1+json", "digest": "` + string(fake.DigestOf(blob)) + `", "size": 100}]}`)
	f.Add([]byte(`{"manifests": [{"digest": "`+string(fake.DigestOf(manifest))+`", "artifactType": ""}]}`), manifest, blob)
	f.Add([]byte(`{"manifests": null}`), []byte(`{"layers": [null, {"size": -1}]}`), []byte(`{"dsseEnvelope": {}}`))
	f.Add([]byte(`[`), []byte(`7`), []byte(openVEX("2026-11-01", "not_affected")))
	f.Fuzz(func(t *testing.T, list, manifest, blob []byte) {
		s := newShelf()
		s.list = list
		s.manifests[string(fake.DigestOf(manifest))] = manifest
		s.manifests[fake.CosignTag(image, "att")] = manifest
		s.blobs[fake.DigestOf(blob)] = blob
		finder := &beside.Finder{
			Registry: s, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
			Sources: func() []beside.Source {
				return []beside.Source{{Config: vex.Config{Name: "acme", Images: true, Repositories: []string{"**"}, MaxAge: time.Hour}, Key: fuzzKey, Trusted: "x"}}
			},
		}
		b := finder.Find(t.Context(), gate.Location{Registry: "prod", Repository: "a"}, image, nil)
		if len(b.Documents) > 0 || s.asked > 200 {
			t.Errorf("%d documents count after %d requests", len(b.Documents), s.asked)
		}
	})
}
