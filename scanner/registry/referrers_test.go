package registry

import (
	"net/http"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestReferrersSaysMore: a list whose next page is not read says so, also where the link is
// not understood.
func TestReferrersSaysMore(t *testing.T) {
	const list = `{"schemaVersion": 2, "manifests": []}`
	for name, c := range map[string]struct {
		link string
		want bool
	}{
		"whole":          {"", false},
		"next":           {`</v2/team/app/referrers/x?n=100&last=a>; rel="next"`, true},
		"not_understood": {`<`, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveStore(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.link != "" {
					w.Header().Set("Link", c.link)
				}
				_, _ = w.Write([]byte(list))
			})
			cfg := DefaultConfig()
			cfg.Name, cfg.Type, cfg.Host, cfg.PlainHTTP = "test", "distribution", s.host, true
			client := newClient(t, Options{Registries: []Config{cfg}})
			raw, more, err := client.Referrers(t.Context(), gate.Location{Registry: "test", Repository: "team/app"}, gate.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
			if err != nil || string(raw) != list || more != c.want {
				t.Errorf("got %s, more %t, %v; want more %t", raw, more, err, c.want)
			}
		})
	}
}
