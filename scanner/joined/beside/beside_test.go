package beside_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/joined"
	"github.com/digestgate/digestgate/scanner/joined/beside"
	"github.com/digestgate/digestgate/scanner/joined/vex"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

const (
	image = gate.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	other = gate.Digest("sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// shelf is a registry in memory: manifests by tag or digest, blobs, and what it lists.
type shelf struct {
	manifests map[string][]byte
	blobs     map[gate.Digest][]byte
	list      []byte // nil: it keeps none
	more      bool   // the list has another page
	away      error
	broken    map[string]error // of manifests
	asked     int
}

func (s *shelf) Referrers(context.Context, gate.Location, gate.Digest) ([]byte, bool, error) {
	s.asked++
	switch {
	case s.away != nil:
		return nil, false, s.away
	case s.list == nil:
		return nil, false, gate.ErrNotFound
	}
	return s.list, s.more, nil
}

func (s *shelf) RawManifest(_ context.Context, _ gate.Location, ref string) ([]byte, gate.Digest, error) {
	s.asked++
	if err := s.broken[ref]; err != nil {
		return nil, "", err
	}
	m, ok := s.manifests[ref]
	if !ok {
		return nil, "", gate.ErrNotFound
	}
	return m, fake.DigestOf(m), nil
}

func (s *shelf) Blob(_ context.Context, _ gate.Location, d gate.Digest, _ int64) (io.ReadCloser, error) {
	s.asked++
	b, ok := s.blobs[d]
	if !ok {
		return nil, gate.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// put makes an artifact of one layer.
func (s *shelf) put(tag, artifactType, mediaType string, content []byte) gate.Digest {
	d := fake.DigestOf(content)
	s.blobs[d] = content
	m := fmt.Appendf(nil, `{"schemaVersion": 2, "artifactType": %q, "layers": [{"mediaType": %q, "digest": %q, "size": %d}]}`, artifactType, mediaType, d, len(content))
	s.manifests[string(fake.DigestOf(m))] = m
	if tag != "" {
		s.manifests[tag] = m
	}
	return fake.DigestOf(m)
}

// layered makes an artifact of an envelope behind other layers.
func (s *shelf) layered(content []byte, others int) gate.Digest {
	d := fake.DigestOf(content)
	m := []byte(`{"layers": [` + strings.Repeat(`{"mediaType": "text/plain"},`, others))
	m = fmt.Appendf(m, `{"mediaType": %q, "digest": %q, "size": %d}]}`, envelopeType, d, len(content))
	s.manifests[string(fake.DigestOf(m))] = m
	return fake.DigestOf(m)
}

func (s *shelf) lists(artifactType string, digests ...gate.Digest) []byte {
	var list []string
	for _, d := range digests {
		list = append(list, fmt.Sprintf(`{"mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": %q, "digest": %q, "size": 1}`, artifactType, d))
	}
	return []byte(`{"schemaVersion": 2, "manifests": [` + strings.Join(list, ",") + "]}")
}

func newShelf() *shelf {
	return &shelf{manifests: map[string][]byte{}, blobs: map[gate.Digest][]byte{}}
}

func key() signature.SignerVerifier {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // of the system's randomness
	}
	sv, err := signature.LoadECDSASignerVerifier(k, crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return sv
}

// fuzzKey signs nothing.
var fuzzKey = key()

// signed is an envelope as "cosign attest --type openvex" makes it.
func signed(t *testing.T, by signature.Signer, predicateType string, subject gate.Digest, predicate string) []byte {
	t.Helper()
	payload := fmt.Sprintf(`{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": %q, "subject": [{"name": "app", "digest": {"sha256": %q}}], "predicate": %s}`, predicateType, subject.Hex(), predicate)
	const payloadType = "application/vnd.in-toto+json"
	sig, err := by.SignMessage(strings.NewReader(fmt.Sprintf("DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"payloadType": payloadType, "payload": base64.StdEncoding.EncodeToString([]byte(payload)), "signatures": []any{map[string]string{"sig": base64.StdEncoding.EncodeToString(sig)}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func openVEX(day, status string) string {
	more := `, "justification": "component_not_present"`
	if status != "not_affected" {
		more = ""
	}
	return `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "Acme", "timestamp": "` + day + `T00:00:00Z", "version": 1, "statements": [
 {"vulnerability": {"name": "CVE-2026-0001"}, "status": "` + status + `"` + more + `, "products": [{"@id": "pkg:oci/app@` + string(image) + `", "subcomponents": [{"@id": "pkg:npm/left-pad@1.0.0"}]}]}]}`
}

const (
	openVEXType  = "https://openvex.dev/ns/v0.2.0"
	envelopeType = "application/vnd.dsse.envelope.v1+json"
	bundleType   = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

type site struct {
	*testing.T
	*shelf
	acme, mallory signature.SignerVerifier
	finder        *beside.Finder
	trusted       string
	config        vex.Config
}

func newSite(t *testing.T) *site {
	s := &site{T: t, shelf: newShelf(), acme: key(), mallory: key()}
	s.config = vex.Config{Name: "acme", Images: true, Repositories: []string{"prod/team/**"}, MaxAge: 60 * 24 * time.Hour}
	var err error
	if s.trusted, err = vex.Fingerprint(s.acme); err != nil {
		t.Fatal(err)
	}
	s.finder = &beside.Finder{
		Registry: s.shelf, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		Sources: func() []beside.Source { return []beside.Source{{Config: s.config, Key: s.acme, Trusted: s.trusted}} },
	}
	return s
}

var place = gate.Location{Registry: "prod", Repository: "team/app"}

func (s *site) find(before *gate.BesideVEX) *gate.BesideVEX {
	return s.finder.Find(s.Context(), place, image, before)
}

// hides reports whether what was found hides the finding of an image, for tables in which
// the source has a key.
func (s *site) hides(b *gate.BesideVEX, trusted string, of gate.Digest, at time.Time) bool {
	tables := joined.NewTables(nil, nil, nil, &vex.Table{Sources: []vex.Source{{Name: "acme", Repositories: s.config.Repositories, MaxAge: s.config.MaxAge, Images: trusted}}})
	_, ok := tables.Hides(gate.Whereabouts{Digest: of, Location: place, Beside: tables.Beside(b)}, &gate.Vulnerability{ID: "CVE-2026-0001", PURL: "pkg:npm/left-pad@1.0.0"}, at)
	return ok
}

// TestWhereDocumentsAre: cosign's tag, the list of referrers, and the list at the tag;
// envelopes by themselves and in a bundle of sigstore.
func TestWhereDocumentsAre(t *testing.T) {
	for name, put := range map[string]func(s *site, text []byte){
		"cosign_tag": func(s *site, text []byte) { s.put(fake.CosignTag(image, "att"), "", envelopeType, text) },
		"referrers": func(s *site, text []byte) {
			s.list = s.lists("application/vnd.dev.cosign.artifact.att.v1+json", s.put("", "", envelopeType, text))
		},
		"bundle": func(s *site, text []byte) {
			s.list = s.lists(bundleType, s.put("", bundleType, bundleType, []byte(`{"mediaType": "`+bundleType+`", "verificationMaterial": {}, "dsseEnvelope": `+string(text)+`}`)))
		},
		"tag_of_referrers": func(s *site, text []byte) {
			s.manifests["sha256-"+image.Hex()] = s.lists("", s.put("", "", envelopeType, text))
		},
		"both": func(s *site, text []byte) {
			s.list = s.lists("", s.put(fake.CosignTag(image, "att"), "", envelopeType, text))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			put(s, signed(t, s.acme, openVEXType, image, openVEX("2026-11-01", "not_affected")))
			b := s.find(nil)
			if len(b.Documents) != 1 || len(b.Refused) != 0 || b.Problem != "" || !s.hides(b, s.trusted, image, now) {
				t.Errorf("got %+v", b)
			}
			if s.hides(b, s.trusted, other, now) {
				t.Error("it hides a finding of another image")
			}
			if s.hides(b, "sha256:of-another-key", image, now) || s.hides(b, "", image, now) {
				t.Error("it counts although the source has another key, or none for images")
			}
			if s.hides(b, s.trusted, image, now.AddDate(0, 0, 40)) {
				t.Error("it hides beyond maxAge")
			}
		})
	}
}

// TestRefusedDocuments: whatever is not an envelope about this image that the source has
// signed hides nothing, and is counted.
func TestRefusedDocuments(t *testing.T) {
	good := openVEX("2026-11-01", "not_affected")
	for name, c := range map[string]struct {
		put  func(s *site)
		want string // the reason, "" for what is passed over
	}{
		"unsigned": {func(s *site) {
			s.list = s.lists("application/vnd.openvex+json", s.put("", "application/vnd.openvex+json", "application/vnd.openvex+json", []byte(good)))
		}, "is not signed: it is not an envelope"},
		"unsigned_as_envelope": {func(s *site) { s.put(fake.CosignTag(image, "att"), "", envelopeType, []byte(good)) }, "is not signed: it is not an envelope"},
		"another_signer": {func(s *site) {
			s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(s.T, s.mallory, openVEXType, image, good))
		}, "not signed by a source of advisories.vex"},
		"another_image": {func(s *site) {
			s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(s.T, s.acme, openVEXType, other, good))
		}, "another image"},
		"too_old": {func(s *site) {
			s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(s.T, s.acme, openVEXType, image, openVEX("2026-01-01", "not_affected")))
		}, "older than maxAge"},
		"of_the_future": {func(s *site) {
			s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(s.T, s.acme, openVEXType, image, openVEX("2027-01-01", "not_affected")))
		}, "is damaged"},
		"damaged": {func(s *site) {
			s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(s.T, s.acme, openVEXType, image, `{"@context": 7}`))
		}, "is damaged"},
		"large": {func(s *site) { s.put(fake.CosignTag(image, "att"), "", envelopeType, make([]byte, 9<<20)) }, "more beside an image than the limits"},
		"provenance": {func(s *site) {
			s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(s.T, s.mallory, "https://slsa.dev/provenance/v1", image, "{}"))
		}, ""},
		"sbom": {func(s *site) {
			s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(s.T, s.mallory, "https://cyclonedx.org/bom", image, `{"components": []}`))
		}, ""},
		"not_json": {func(s *site) { s.list = []byte("<html>") }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			c.put(s)
			b := s.find(nil)
			if len(b.Documents) > 0 || s.hides(b, s.trusted, image, now) {
				t.Errorf("it counts: %+v", b)
			}
			text := fmt.Sprint(b.Refused)
			if c.want == "" && len(b.Refused) > 0 || !strings.Contains(text, c.want) {
				t.Errorf("refused %s, want %q", text, c.want)
			}
			if diff := cmp.Diff(b.Refused, s.finder.Standing().Refused); diff != "" {
				t.Errorf("the standing differs: %s", diff)
			}
		})
	}
}

// TestBounded: a registry that lists a lot is not read for ever.
func TestBounded(t *testing.T) {
	s := newSite(t)
	var all []gate.Digest
	for i := range 300 {
		all = append(all, s.put("", "", envelopeType, signed(t, s.acme, openVEXType, image, strings.Replace(openVEX("2026-11-01", "not_affected"), `"@id": "x"`, fmt.Sprintf(`"@id": "x%d"`, i), 1))))
	}
	s.list = s.lists("", all...)
	b := s.find(nil)
	if len(b.Documents) > 32 || s.asked > 200 || b.Refused["there is more beside an image than the limits of 64 artifacts, 32 documents and 32 MiB; the rest was not read"] == 0 {
		t.Errorf("%d documents, %d requests, refused %v", len(b.Documents), s.asked, b.Refused)
	}
}

// TestWhatStays: a registry that is away keeps what was found; a document that is deleted
// hides nothing any more, and one that takes a statement back stays.
func TestWhatStays(t *testing.T) {
	s := newSite(t)
	s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(t, s.acme, openVEXType, image, openVEX("2026-11-01", "not_affected")))
	first := s.find(nil)
	s.away = fmt.Errorf("503: %w", gate.ErrRegistryUnavailable)
	if b := s.find(first); !s.hides(b, s.trusted, image, now) || !strings.Contains(b.Problem, "503") || s.finder.Standing().Unreached != 1 {
		t.Errorf("away: got %+v", b)
	}
	s.away = nil
	// It is taken back; then only the old document is listed again.
	old := s.manifests[fake.CosignTag(image, "att")]
	s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(t, s.acme, openVEXType, image, openVEX("2026-11-02", "affected")))
	second := s.find(first)
	if s.hides(second, s.trusted, image, now) {
		t.Error("what was taken back hides")
	}
	s.manifests[fake.CosignTag(image, "att")] = old
	if b := s.find(second); len(b.Documents) != 2 || s.hides(b, s.trusted, image, now) {
		t.Errorf("an old document that is pushed again hides: %+v", b)
	}
	delete(s.manifests, fake.CosignTag(image, "att"))
	if b := s.find(first); len(b.Documents) != 0 || s.hides(b, s.trusted, image, now) {
		t.Errorf("deleted: got %+v", b)
	}
	asked := s.asked
	for _, known := range []*gate.BesideVEX{nil, first} {
		if b := s.finder.Find(t.Context(), gate.Location{Registry: "prod", Repository: "shop/app"}, image, known); b != known || s.asked != asked {
			t.Errorf("where no source counts: got %+v after %d requests", b, s.asked-asked)
		}
	}
}

// TestLookElsewhere: a look in a place where a source does not count is no look for its
// documents: what they take back stays taken back. It leaves the list of sources as it is.
func TestLookElsewhere(t *testing.T) {
	s := newSite(t)
	mallory, err := vex.Fingerprint(s.mallory)
	if err != nil {
		t.Fatal(err)
	}
	theirs := vex.Config{Name: "mallory", Images: true, Repositories: []string{"theirs/**"}, MaxAge: s.config.MaxAge}
	list := []beside.Source{{Config: s.config, Key: s.acme, Trusted: s.trusted}, {Config: theirs, Key: s.mallory, Trusted: mallory}}
	s.finder.Sources = func() []beside.Source { return list } // one list for all looks
	s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(t, s.acme, openVEXType, image, openVEX("2026-11-01", "not_affected")))
	old := s.manifests[fake.CosignTag(image, "att")]
	s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(t, s.acme, openVEXType, image, openVEX("2026-11-02", "affected")))
	first := s.find(nil)
	elsewhere := s.finder.Find(t.Context(), gate.Location{Registry: "theirs", Repository: "app"}, image, first)
	if diff := cmp.Diff(first.Documents, elsewhere.Documents); diff != "" {
		t.Errorf("after a look elsewhere (-want +got):\n%s", diff)
	}
	if _, err := vex.Attested(signed(t, s.mallory, openVEXType, image, openVEX("2026-11-01", "not_affected")), nil, image, now); !errors.Is(err, vex.ErrOtherKey) {
		t.Errorf("without a key: got %v", err)
	}
	if list[0].Name != "acme" || list[1].Name != "mallory" {
		t.Errorf("the look has changed the list of sources: %q, %q", list[0].Name, list[1].Name)
	}
	s.manifests[fake.CosignTag(image, "att")] = old
	if b := s.find(elsewhere); s.hides(b, s.trusted, image, now) {
		t.Errorf("an old document that is pushed again hides: %+v", b)
	}
}
