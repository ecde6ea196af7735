package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/gate/certificate/certificatetest"
)

// TestBusy_goodputOverTLS: at sixteen times of what there are places for, over TLS on
// loopback, all work that is done is an answer. What a review needs is handed out piece by
// piece, each after somebody else was told BUSY, so that the machine's speed does not
// matter: every piece becomes one admitted review, and none is spent on a review that is
// refused in the end.
func TestBusy_goodputOverTLS(t *testing.T) {
	const places, callers, pieces = 4, 16 * 4, 100
	work, end := make(chan struct{}, pieces), make(chan struct{})
	stop := sync.OnceFunc(func() { close(end) }) // for those that hold a place at the end
	d := deciderFunc(func(ctx context.Context, ref gate.Reference, _ gate.Request) gate.Answer {
		select {
		case <-work:
		case <-end:
		case <-ctx.Done():
			return refusedFor(gate.ErrTimeout)
		}
		return gate.Answer{Outcome: gate.OutcomeAllow, Digest: ref.Digest}
	})
	c, err := certificate.New(certificate.Options{DataDir: t.TempDir(), Names: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, d, Options{MaxInFlight: places})
	url := certificatetest.Serve(t, NewServer(h, c, slog.New(slog.DiscardHandler)), nil) + BasePath + "?timeout=30s"
	cl := certificatetest.Client(t, func(config *tls.Config) { config.RootCAs = certificatetest.Pool(c.CABundle()) })
	body := compact(t, review(pod(good), nil))

	var handed, admitted, busy atomic.Int64
	send := func() (more bool) {
		resp, err := cl.Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			t.Errorf("Post: %v", err)
			return false
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		var out admissionv1.AdmissionReview
		switch err := json.Unmarshal(text, &out); {
		case err != nil || resp.StatusCode != http.StatusOK:
		case out.Response.Allowed:
			return admitted.Add(1) < pieces
		case string(out.Response.Result.Reason) == string(gate.CodeBusy):
			busy.Add(1)
			if handed.Add(1) <= pieces {
				work <- struct{}{}
			}
			return admitted.Load() < pieces
		}
		t.Errorf("got %d %s", resp.StatusCode, text)
		return false
	}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for send() {
			}
			stop()
		})
	}
	wg.Wait()
	if admitted.Load() < pieces || busy.Load() < pieces {
		t.Errorf("%d reviews were admitted with %d pieces of work, %d were told BUSY", admitted.Load(), pieces, busy.Load())
	}
}
