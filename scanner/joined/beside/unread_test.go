package beside_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// TestUnread: an image has a document that hides, and a later one that takes it back. An
// author who can push pushes what keeps the later one from being read. Then nothing hides,
// also what hid before, until all is read again.
func TestUnread(t *testing.T) {
	for name, hamper := range map[string]func(s *site, back gate.Digest, text []byte){
		"artifacts": func(s *site, back gate.Digest, _ []byte) {
			var junk []gate.Digest
			for i := range 64 {
				junk = append(junk, s.put("", "", "text/plain", fmt.Append(nil, i)))
			}
			s.list = s.lists("", append(junk, back)...)
		},
		"layers": func(s *site, _ gate.Digest, text []byte) {
			s.list = s.lists("", s.layered(text, 64))
		},
		"next_page": func(s *site, _ gate.Digest, _ []byte) { s.list, s.more = s.lists(""), true },
		"list_of_another_form": func(s *site, back gate.Digest, _ []byte) {
			s.list = append(s.lists("", back), '}')
		},
		"list_too_long": func(s *site, _ gate.Digest, _ []byte) { s.away = fmt.Errorf("of 5 MB: %w", gate.ErrIntegrity) },
		"manifest_too_long": func(s *site, back gate.Digest, _ []byte) {
			s.broken = map[string]error{string(back): fmt.Errorf("of 5 MB: %w", gate.ErrUnassessable)}
		},
		"blob_away": func(s *site, _ gate.Digest, text []byte) { delete(s.blobs, fake.DigestOf(text)) },
		"size_that_is_wrong": func(s *site, back gate.Digest, text []byte) {
			m := fmt.Appendf(nil, `{"layers": [{"mediaType": %q, "digest": %q, "size": 99999999}]}`, envelopeType, fake.DigestOf(text))
			s.manifests[string(fake.DigestOf(m))] = m
			s.list = s.lists("", fake.DigestOf(m), back)
		},
		"signed_and_damaged": func(s *site, _ gate.Digest, _ []byte) {
			s.list = s.lists("", s.put("", "", envelopeType, signed(s.T, s.acme, openVEXType, image, `{"@context": 7}`)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(t, s.acme, openVEXType, image, openVEX("2026-11-01", "not_affected")))
			first := s.find(nil)
			if !s.hides(first, s.trusted, image, now) {
				t.Fatal("the first document does not hide")
			}
			text := signed(t, s.acme, openVEXType, image, openVEX("2026-11-02", "affected"))
			back := s.put("", "", envelopeType, text)
			s.list = s.lists("", back)
			hamper(s, back, text)
			for _, before := range []*gate.BesideVEX{nil, first} {
				b := s.find(before)
				if !b.Unread || s.hides(b, s.trusted, image, now) || len(b.Refused) == 0 {
					t.Errorf("with %v before: it hides, or nothing says why not: %+v", before != nil, b)
				}
				s.away = fmt.Errorf("503: %w", gate.ErrRegistryUnavailable)
				if away := s.find(b); !away.Unread || s.hides(away, s.trusted, image, now) {
					t.Errorf("the registry is away after that: got %+v", away)
				}
				s.away = nil
				hamper(s, back, text)
			}
			if n := s.finder.Standing().Unread; n != 2 {
				t.Errorf("the standing has %d images that could not be read wholly, want 2", n)
			}
			s.away, s.list, s.more, s.broken = nil, s.lists(""), false, nil
			if b := s.find(first); b.Unread || !s.hides(b, s.trusted, image, now) {
				t.Errorf("when all can be read: got %+v", b)
			}
		})
	}
}

// TestNotHampered: what another artifact says of the bytes of a document, and what is not
// there any more, keeps nothing from being read.
func TestNotHampered(t *testing.T) {
	for name, hamper := range map[string]func(s *site, back gate.Digest, text []byte) gate.Digest{
		"another_type_of_the_same_bytes": func(s *site, _ gate.Digest, text []byte) gate.Digest { return s.put("", "", bundleType, text) },
		"not_there":                      func(*site, gate.Digest, []byte) gate.Digest { return other },
		"large_sbom": func(s *site, _ gate.Digest, _ []byte) gate.Digest {
			return s.put("", "", envelopeType, signed(s.T, s.mallory, "https://cyclonedx.org/bom", image, `{"components": ["`+strings.Repeat("x", 3<<20)+`"]}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(t, s.acme, openVEXType, image, openVEX("2026-11-01", "not_affected")))
			text := signed(t, s.acme, openVEXType, image, openVEX("2026-11-02", "affected"))
			back := s.put("", "", envelopeType, text)
			s.list = s.lists("", hamper(s, back, text), back)
			if b := s.find(nil); b.Unread || len(b.Documents) != 2 || s.hides(b, s.trusted, image, now) {
				t.Errorf("got %+v", b)
			}
			s.list = s.lists("", hamper(s, back, text))
			delete(s.manifests, string(back))
			if name != "another_type_of_the_same_bytes" {
				if b := s.find(nil); b.Unread || !s.hides(b, s.trusted, image, now) {
					t.Errorf("without what takes it back: got %+v", b)
				}
			}
		})
	}
}
