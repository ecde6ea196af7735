package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/digestgate/digestgate/gate"
)

// full is a reviewer of which all places in flight are taken, for ever.
func full(tb testing.TB, o Options, change ...func(*Config)) *Reviewer {
	tb.Helper()
	c := Default()
	for _, f := range change {
		f(&c)
	}
	r := NewReviewer(c, promptly{allowAll}, o)
	for range cap(r.slots) {
		r.slots <- struct{}{}
	}
	return r
}

// impatient is a context whose caller does not wait for a place.
func impatient(tb testing.TB) context.Context {
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	return ctx
}

func compact(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestCrowd_refusedUnread: without a place, the creation of a Pod is refused by what
// stands in front of its object, which nobody looks at. What may pass, and what is
// admitted when it cannot be answered, is read.
func TestCrowd_refusedUnread(t *testing.T) {
	audit := func(c *Config) { c.Namespaces = map[string]NamespaceConfig{"lax": {Mode: ModeAudit}} }
	pods := func(change ...func(*admissionv1.AdmissionRequest)) []byte {
		return compact(t, review(pod(good), nil, change...))
	}
	broken := func(body []byte) []byte {
		i := bytes.Index(body, []byte(`"object":`))
		return append(bytes.Clone(body[:i]), `"object":{"spec":}`...)
	}
	tests := map[string]struct {
		body   []byte
		unread bool
	}{
		"pod":         {pods(), true},
		"indented":    {encode(t, review(pod(good), nil)), true},
		"other_mode":  {pods(namespace("lax")), false},
		"exempt":      {pods(namespace("kube-system")), false},
		"update":      {compact(t, review(pod(good), pod(bad))), false},
		"template":    {compact(t, review(workloads(good)["Job"], nil)), false},
		"by_a_node":   {pods(func(r *admissionv1.AdmissionRequest) { r.UserInfo.Groups = []string{nodeGroup} }), false},
		"subresource": {pods(func(r *admissionv1.AdmissionRequest) { r.SubResource = "binding" }), false},
		"long_uid": {pods(func(r *admissionv1.AdmissionRequest) {
			r.UID = "uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"
		}), false},
		"long_head":        {pods(func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = strings.Repeat("u", maxHead) }), false},
		"object_first":     {bytes.Replace(pods(), []byte(`"request":{`), []byte(`"request":{"object":null,`), 1), false},
		"another_version":  {bytes.Replace(pods(), []byte("admission.k8s.io/v1"), []byte("admission.k8s.io/v2"), 1), false},
		"wrong_field":      {bytes.Replace(pods(), []byte(`"namespace":"shop"`), []byte(`"namespace":7`), 1), false},
		"large":            {bytes.Replace(pods(), []byte(`"object":`), append(bytes.Repeat([]byte(" "), maxCrowded), `"object":`...), 1), false},
		"control_in_uid":   {bytes.Replace(pods(), []byte(`"uid":"`), []byte("\"uid\":\"\x01"), 1), false},
		"escape_in_uid":    {bytes.Replace(pods(), []byte(`"uid":"`), []byte(`"uid":"\u0041`), 1), true},
		"cut_off_in_names": {pods()[:100], false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := full(t, Options{MaxInFlight: 2}, audit)
			resp, err := r.Review(impatient(t), broken(append(test.body, `"object":`...)), DefaultCluster)
			if unread := err == nil && resp.Code == gate.CodeBusy && !resp.Allowed; unread != test.unread {
				t.Fatalf("refused unread: %t (%s, %v), want %t", unread, resp.JSON(), err, test.unread)
			}
			if !test.unread {
				return
			}
			var in admissionv1.AdmissionReview
			whole, wholeErr := r.Review(impatient(t), append(test.body, bytes.Repeat([]byte(" "), maxCrowded)...), DefaultCluster)
			if err := json.Unmarshal(test.body, &in); err != nil || wholeErr != nil {
				t.Fatal(err, wholeErr)
			}
			got, want := verify(t, resp.JSON(), string(in.Request.UID)), verify(t, whole.JSON(), string(in.Request.UID))
			if got.Result.Message != want.Result.Message || got.Result.Code != want.Result.Code || got.Result.Details.RetryAfterSeconds == 0 {
				t.Errorf("unread: %s\nread: %s", resp.JSON(), whole.JSON())
			}
		})
	}
}

// TestHead_isOfTheReview: what is read of the recorded reviews without their object is
// what reading them finds.
func TestHead_isOfTheReview(t *testing.T) {
	found := 0
	for _, body := range reviewFiles(t) {
		head, ok := readHead(body)
		if !ok {
			continue
		}
		found++
		want, err := decodeReview(body)
		if err != nil || want.invalid != nil {
			continue // the rest of it is wrong
		}
		if head.uid != want.uid || head.kind != want.kind || head.namespace != want.namespace || head.operation != want.operation ||
			head.subResource != want.subResource || head.node != want.node || head.user != want.user || head.name != want.name {
			t.Errorf("the head of %s:\ngot  %+v\nwant %+v", body, head, want)
		}
	}
	if found == 0 {
		t.Error("no recorded review has a head")
	}
}

func FuzzHead(f *testing.F) {
	for _, body := range reviewFiles(f) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		head, ok := readHead(body)
		if !ok || !valid(body) {
			return
		}
		want, err := decodeReview(body)
		if err == nil && want.invalid == nil && (head.uid != want.uid || head.kind != want.kind || head.namespace != want.namespace) {
			t.Fatalf("the head of %q:\ngot  %+v\nwant %+v", body, head, want)
		}
	})
}

// TestBusy_costsLess: to be told BUSY costs less processor time and memory than an
// answer that needs nothing to be read.
func TestBusy_costsLess(t *testing.T) {
	body, ctx := threeImages(t), impatient(t)
	busy, free := full(t, Options{MaxInFlight: 1}), NewReviewer(Default(), promptly{allowAll}, Options{})
	refuse := func() { _, _ = busy.Review(ctx, body, DefaultCluster) }
	answer := func() { _, _ = free.Review(t.Context(), body, DefaultCluster) }
	if less, more := testing.AllocsPerRun(100, refuse), testing.AllocsPerRun(100, answer); less > more {
		t.Errorf("BUSY takes %.0f allocations, an answer %.0f", less, more)
	}
	// The best of many short runs: a loaded machine makes some of both slower.
	best := func(f func()) time.Duration {
		least := time.Hour
		for range 200 {
			start := time.Now()
			for range 20 {
				f()
			}
			least = min(least, time.Since(start))
		}
		return least
	}
	if less, more := best(refuse), best(answer); less > more*3/4 {
		t.Errorf("20 times BUSY take %s, 20 answers %s; want at most three quarters", less, more)
	}
}

// TestBusy_goodput: at three and ten times of what there are places for, as many
// reviews are answered as without the others.
func TestBusy_goodput(t *testing.T) {
	const places, work, span = 4, 10 * time.Millisecond, 2 * time.Second
	for _, times := range []int{1, 3, 10} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewReviewer(Default(), deciderFunc(func(_ context.Context, ref gate.Reference, _ gate.Request) gate.Answer {
					time.Sleep(work)
					return gate.Answer{Outcome: gate.OutcomeAllow, Digest: ref.Digest}
				}), Options{MaxInFlight: places})
				body := compact(t, review(pod(good), nil))
				var answered, refused atomic.Int64
				for range int(span/work) * places * times {
					go func() {
						resp, err := r.Review(t.Context(), body, DefaultCluster)
						switch {
						case err == nil && resp.Allowed:
							answered.Add(1)
						case err == nil && resp.Code == gate.CodeBusy:
							refused.Add(1)
						default:
							t.Errorf("got %s, %v", resp.JSON(), err)
						}
					}()
					time.Sleep(work / time.Duration(places*times))
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if peak := int64(span/work) * places; answered.Load() < peak*9/10 || times > 1 && refused.Load() == 0 {
					t.Errorf("%d times the load: %d of %d were answered, %d were BUSY", times, answered.Load(), peak, refused.Load())
				}
			})
		})
	}
}

// TestBusy_line: of a flood of refusals that were not read the log has a few lines.
func TestBusy_line(t *testing.T) {
	var log bytes.Buffer
	r := full(t, Options{MaxInFlight: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	body := compact(t, review(pod(good), nil))
	for range 100 {
		if resp, err := r.Review(impatient(t), body, DefaultCluster); err != nil || resp.Code != gate.CodeBusy {
			t.Fatalf("got %s, %v", resp.JSON(), err)
		}
	}
	if n := strings.Count(log.String(), "admission review"); n == 0 || n > 10 {
		t.Errorf("100 refusals: %d lines", n)
	}
}
