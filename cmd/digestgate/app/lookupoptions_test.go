package app

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate/admission"
)

func TestLookupOptions(t *testing.T) {
	c := admission.Default()
	c.RequireDigest, c.Repositories = true, []admission.RepositoryConfig{{Pattern: "a/**", Admission: "allowed"}, {Pattern: "a/b/*", Admission: "denied"}}
	got := lookupOptions(c)
	if !got.RequireDigest || got.TagMaxAge != time.Minute || got.TagGrace != 10*time.Minute || got.NewDigestsPerHour != 60 ||
		len(got.Repositories) != 2 || !got.Repositories[0].Allowed || got.Repositories[1].Allowed {
		t.Errorf("lookupOptions: got %+v", got)
	}
}
