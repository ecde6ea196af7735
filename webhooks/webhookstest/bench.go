package webhookstest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/digestgate/digestgate/webhooks"
)

// Bench measures what one delivery costs us, with the largest recording that
// leads to a job: parse is the receiver alone, handle the whole way from the
// request to its answer but for the durable write, with a secret in a header.
func Bench(b *testing.B, s Suite) {
	var rec webhooks.Recording
	for _, c := range s.Cases {
		if r := s.recording(b, c); c.acted() && len(r.Body) > len(rec.Body) {
			rec = r
		}
	}
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(rec.Body)))
		for b.Loop() {
			if _, err := s.Receiver.Parse(rec.Delivery()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("handle", func(b *testing.B) {
		e := s.endpointWith(b, webhooks.Config{Auth: webhooks.AuthHeader, Header: "X-Secret"}, webhooks.Options{})
		b.ReportAllocs()
		b.SetBytes(int64(len(rec.Body)))
		for b.Loop() {
			req, err := rec.Request(b.Context(), "http://digestgate.test"+e.path, e.auth)
			if err != nil {
				b.Fatal(err)
			}
			w := httptest.NewRecorder()
			if e.handler.ServeHTTP(w, req); w.Code != http.StatusAccepted {
				b.Fatalf("got %d %s", w.Code, w.Body)
			}
		}
		b.StopTimer()
		if !e.store.touched() {
			b.Error("the deliveries led to nothing")
		}
	})
}
