package advisory

import (
	"testing"
	"time"
)

// TestAgesOfParts: a bucket is as old as the oldest rows in it, whether a source is old or
// has kept its former rows.
func TestAgesOfParts(t *testing.T) {
	newest := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return newest.AddDate(0, 0, -n) }
	m := Manifest{
		Composition: 1,
		Sources: []Source{
			{Name: "trivy-db", UpdatedAt: newest, Gave: &Gave{Buckets: []string{"debian 12", "debian 11"}}},
			{Name: "acme", UpdatedAt: day(10), Gave: &Gave{Buckets: []string{"debian 12"}}},
		},
		Held: []Held{{Bucket: "debian 12", UpdatedAt: day(3)}, {Bucket: "debian 11", UpdatedAt: day(2)}},
	}
	oldest, _ := m.ages(newest)
	if !oldest.Equal(day(10)) {
		t.Errorf("the oldest part is of %s, want %s", oldest, day(10))
	}
	m.Sources[1].UpdatedAt = day(1)
	if oldest, _ = m.ages(newest); !oldest.Equal(day(3)) {
		t.Errorf("the oldest part is of %s, want %s, of the rows that were kept", oldest, day(3))
	}
}
