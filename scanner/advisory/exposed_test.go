package advisory_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/digestgate/digestgate/scanner/advisory"
)

// TestServesOnlyGenerations: the private listener gives nothing but the files of
// generations that are kept.
func TestServesOnlyGenerations(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	n := p.node("", true)
	n.turn(t)
	hex := n.m.Status().Generation.Content.Hex()
	mux := http.NewServeMux()
	mux.Handle("GET "+advisory.PeerPath+"{content}/{file}", n.m.Serve())
	for path, want := range map[string]int{
		hex + "/trivy.db": 200, hex + "/metadata.json": 200, hex + "/generation.json": 200,
		hex + "/source.json": 404, hex + "/..%2f..%2foffered.json": 404, "..%2f/offered.json": 404, "offered.json/trivy.db": 404,
		"00" + hex[2:] + "/trivy.db": 404, hex + "/": 404,
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, advisory.PeerPath+path, nil))
		if w.Code != want {
			t.Errorf("%s: got %d, want %d", path, w.Code, want)
		}
	}
}
