package admission

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// partly is a decider that has the answers of some images at hand. It records which
// goroutine gave which answer.
type partly struct {
	atHand func(ref gate.Reference) bool
	decide deciderFunc

	mu     sync.Mutex
	inline []string // references
	asked  []string
	by     map[string]bool // goroutines of the answers at hand
}

func (p *partly) Decide(context.Context, gate.Reference, gate.Request) gate.Answer { panic("alone") }
func (p *partly) Rounds([]gate.Reference) gate.Rounds                              { return (*partlyRounds)(p) }

type partlyRounds partly

func (p *partlyRounds) Read(context.Context) {}

func (p *partlyRounds) Decide(ctx context.Context, ref gate.Reference, req gate.Request) (gate.Answer, bool) {
	p.mu.Lock()
	p.asked = append(p.asked, ref.String())
	p.mu.Unlock()
	return p.decide(ctx, ref, req), true
}

func (p *partlyRounds) AtOnce(ctx context.Context, ref gate.Reference, req gate.Request) (gate.Answer, bool) {
	if !p.atHand(ref) {
		return gate.Answer{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inline = append(p.inline, ref.String())
	if p.by == nil {
		p.by = map[string]bool{}
	}
	p.by[goroutine()] = true
	return p.decide(ctx, ref, req), true
}

// goroutine names the one that calls it.
func goroutine() string {
	var b [64]byte
	return strings.Join(strings.Fields(string(b[:runtime.Stack(b[:], false)]))[:2], " ")
}

// TestPrompt_inline: what is at hand is answered by the goroutine of the review, and
// nothing else of it is asked; the rest is asked for as ever.
func TestPrompt_inline(t *testing.T) {
	p := &partly{
		atHand: func(ref gate.Reference) bool { return !strings.HasSuffix(ref.Repository, "/pending") },
		decide: (&lookup{}).Decide,
	}
	got, resp := answer(t, reviewer(p), review(pod(good, pending, warns, good), nil))
	if got.Allowed || resp.Code != gate.CodePending || len(resp.Images) != 4 || resp.Images[3].Outcome != gate.OutcomeAllow {
		t.Errorf("Review: got %s", resp.JSON())
	}
	if len(p.inline) != 3 || len(p.asked) != 1 || !strings.Contains(p.asked[0], "pending") {
		t.Errorf("at once %v, asked %v; want three and the pending one", p.inline, p.asked)
	}
	if len(p.by) != 1 || !p.by[goroutine()] {
		t.Errorf("answered at once by %v, the review is %s", p.by, goroutine())
	}
}

// TestPrompt_hang: what hangs is never at hand, and what is at hand does not wait for
// it; the review is answered at its deadline.
func TestPrompt_hang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		p := &partly{
			atHand: func(ref gate.Reference) bool { return strings.HasSuffix(ref.Repository, "/good") },
			decide: func(ctx context.Context, ref gate.Reference, req gate.Request) gate.Answer {
				if strings.HasSuffix(ref.Repository, "/pending") {
					<-hang
				}
				return (&lookup{}).Decide(ctx, ref, req)
			},
		}
		r := NewReviewer(Default(), p, Options{MaxInFlight: 1})
		got, resp := answer(t, r, review(pod(good, pending), nil))
		if got.Allowed || resp.Code != gate.CodeTimeout || resp.Images[0].Outcome != gate.OutcomeAllow || len(r.slots) != 1 {
			t.Errorf("Review: got %s, %d places taken", resp.JSON(), len(r.slots))
		}
		close(hang)
		empty(t, r)
		if got, resp := answer(t, r, review(pod(good), pod(bad))); !got.Allowed {
			t.Errorf("afterwards: got %s", resp.JSON())
		}
		empty(t, r)
	})
}

// TestPrompt_sameTag: one review judges one digest for one tag, whoever resolved it.
func TestPrompt_sameTag(t *testing.T) {
	const tag = "reg.example.com/team/good:1"
	p := &partly{atHand: func(ref gate.Reference) bool { return ref.Digest == "" }, decide: (&lookup{}).Decide}
	got, resp := answer(t, reviewer(p), review(pod(tag, tag), nil))
	if !got.Allowed || len(p.inline) != 1 || len(p.asked) != 1 || !strings.HasSuffix(p.asked[0], "@sha256:"+goodHex) {
		t.Errorf("got %s, at once %v, asked %v", resp.JSON(), p.inline, p.asked)
	}
}

// TestPrompt_faults: an answer at hand is checked like any other.
func TestPrompt_faults(t *testing.T) {
	for name, decide := range map[string]deciderFunc{
		"panic": func(context.Context, gate.Reference, gate.Request) gate.Answer { panic("boom") },
		"zero":  func(context.Context, gate.Reference, gate.Request) gate.Answer { return gate.Answer{} },
		"another_image": func(context.Context, gate.Reference, gate.Request) gate.Answer {
			return gate.Answer{Outcome: gate.OutcomeAllow, Digest: "sha256:" + badHex}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := reviewer(promptly{decide})
			got, resp := answer(t, r, review(pod(good), nil))
			if got.Allowed || resp.Code != gate.CodeInternal || len(r.slots) != 0 {
				t.Errorf("got %s, %d places taken", resp.JSON(), len(r.slots))
			}
		})
	}
}

// TestPrompt_ended: a review whose time has ended is not answered at once.
func TestPrompt_ended(t *testing.T) {
	r := reviewer(promptly{allowAll})
	resp, err := r.Review(impatient(t), compact(t, review(pod(good), nil)), DefaultCluster)
	if err != nil || resp.Allowed || resp.Code != gate.CodeTimeout {
		t.Errorf("got %s, %v, want TIMEOUT", resp.JSON(), err)
	}
}

// TestHandler_allocates: a warm review of three images through the handler makes few
// allocations.
func TestHandler_allocates(t *testing.T) {
	rec, err := NewRecorder(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, promptly{allowAll}, Options{Recorder: rec})
	body := threeImages(t)
	reader := bytes.NewReader(body)
	req := httptest.NewRequest(http.MethodPost, BasePath+"?timeout=10s", nil)
	req.Header.Set("Content-Type", "application/json")
	n := testing.AllocsPerRun(200, func() {
		reader.Reset(body)
		req.Body, req.ContentLength = io.NopCloser(reader), int64(len(body))
		h.ServeHTTP(discard{http.Header{}}, req)
	})
	if n > 36 {
		t.Errorf("%.0f allocations, want at most 36", n)
	}
}
