package catalog

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestCandidates: images with their places and the tags of their indexes, page by page,
// and nothing that is not an image.
func TestCandidates(t *testing.T) {
	c := filled(t, 50)
	ctx := t.Context()
	image, index, signature, never := gate.Digest(fmt.Sprintf("sha256:f%063d", 1)), gate.Digest(fmt.Sprintf("sha256:f%063d", 2)), gate.Digest(fmt.Sprintf("sha256:f%063d", 3)), gate.Digest(fmt.Sprintf("sha256:f%063d", 4))
	at := gate.Location{Registry: "cloud", Repository: "team/multi"}
	err := c.write(ctx, func(w *writer) error {
		record := func(d gate.Digest, m gate.Manifest) {
			m.Digest = d
			w.image(d, gate.Entry{Record: gate.Record{Digest: d, Version: 1, Manifest: m, Locations: []gate.LocationState{{Location: at, SeenAt: time.Unix(1_790_000_000, 0)}}}})
		}
		record(index, gate.Manifest{Kind: gate.KindIndex, Children: []gate.Child{{Digest: image, Judged: true}}})
		record(image, gate.Manifest{Kind: gate.KindImage})
		record(signature, gate.Manifest{Kind: gate.KindSignature})
		record(never, gate.Manifest{Kind: gate.KindImage, Unassessable: "sha512"})
		w.tag(gate.TagKey{Location: at, Tag: "v1"}, gate.TagMapping{Digest: index})
		w.tag(gate.TagKey{Location: gate.Location{Registry: "hub", Repository: "elsewhere"}, Tag: "v2"}, gate.TagMapping{Digest: index})
		return w.err
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []gate.Digest
	for after := gate.Digest(""); ; {
		page, err := c.Candidates(ctx, gate.ScanAsk{}, after, 20)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range page {
			got = append(got, one.Digest)
		}
		if len(page) < 20 {
			break
		}
		after = page[len(page)-1].Digest
	}
	if len(got) != 51 || !slices.IsSorted(got) || !slices.Contains(got, image) || slices.Contains(got, index) || slices.Contains(got, signature) || slices.Contains(got, never) {
		t.Errorf("got %d candidates: %v", len(got), got)
	}
	page, err := c.Candidates(ctx, gate.ScanAsk{Registry: "cloud", Places: true, Parents: true}, "", 20)
	if err != nil || len(page) != 1 {
		t.Fatalf("in one registry: got %+v, %v", page, err)
	}
	one := page[0]
	if one.Digest != image || one.Scanned || !slices.Equal(one.Parents, []gate.Digest{index}) || len(one.Places) != 1 || !slices.Equal(one.Places[0].Tags, []string{"v1"}) {
		t.Errorf("got %+v, want the tag of its index where it is located", one)
	}
	page, err = c.Candidates(ctx, gate.ScanAsk{Places: true}, "", 1)
	if err != nil || len(page) != 1 || len(page[0].Places) != 1 || len(page[0].Places[0].Tags) != 1 || page[0].Decision == "" || page[0].SeenAt.IsZero() {
		t.Errorf("with its places: got %+v, %v", page, err)
	}
}
