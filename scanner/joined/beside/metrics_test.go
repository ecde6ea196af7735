package beside_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// TestMetrics: every look and every reason is counted once.
func TestMetrics(t *testing.T) {
	s := newSite(t)
	reg := prometheus.NewRegistry()
	s.finder.Describe(reg)
	good := openVEX("2026-11-01", "not_affected")
	s.put(fake.CosignTag(image, "att"), "", envelopeType, signed(t, s.acme, openVEXType, image, good))
	s.find(nil)
	s.list = s.lists("", s.put("", "", envelopeType, signed(t, s.mallory, openVEXType, image, good)),
		s.put("", "", envelopeType, signed(t, s.acme, openVEXType, other, good)), s.put("", "", envelopeType, make([]byte, 9<<20)), other)
	s.find(nil)
	s.away = fmt.Errorf("503: %w", gate.ErrRegistryUnavailable)
	s.find(nil)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if v := m.GetCounter().GetValue(); v != 0 {
				got[f.GetName()+" "+m.GetLabel()[0].GetValue()] = v
			}
		}
	}
	want := map[string]float64{
		"digestgate_vex_beside_images_total read": 1, "digestgate_vex_beside_images_total unread": 1, "digestgate_vex_beside_images_total unreached": 1,
		// "taken" is of the first look: the second reads not everything, and keeps nothing that hides.
		"digestgate_vex_beside_documents_total taken": 1, "digestgate_vex_beside_documents_total other_key": 1, "digestgate_vex_beside_documents_total statement": 1,
		"digestgate_vex_beside_documents_total not_read": 1, "digestgate_vex_beside_documents_total unreadable": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
