package admission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// asked is a decider that counts what it is asked.
type asked struct{ requests []gate.Request }

func (a *asked) Decide(_ context.Context, ref gate.Reference, req gate.Request) gate.Answer {
	a.requests = append(a.requests, req)
	return gate.Answer{Outcome: gate.OutcomeAllow, Digest: ref.Digest}
}

// TestReview_bounds: what is longer than Kubernetes allows is refused before
// anything is asked, queued or kept; what is as long as that is not.
func TestReview_bounds(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	tests := map[string]struct {
		change func(r, pod, container map[string]any) // one of them by a string of n bytes
		limit  int
	}{}
	set := func(name string, limit int, change func(r, pod, container map[string]any, s string)) {
		for _, n := range []int{limit, limit + 1, 700_000} {
			tests[fmt.Sprintf("%s_%d", name, n)] = struct {
				change func(r, pod, container map[string]any)
				limit  int
			}{func(r, pod, container map[string]any) { change(r, pod, container, x(n)) }, limit - n}
		}
	}
	meta := func(pod map[string]any) map[string]any { return pod["metadata"].(map[string]any) }
	spec := func(pod map[string]any) map[string]any { return pod["spec"].(map[string]any) }
	set("namespace", 63, func(r, _, _ map[string]any, s string) { r["namespace"] = s })
	set("name", 253, func(r, _, _ map[string]any, s string) { r["name"] = s })
	set("object_name", 253, func(_, pod, _ map[string]any, s string) { meta(pod)["name"] = s })
	set("generate_name", 253, func(_, pod, _ map[string]any, s string) { meta(pod)["generateName"] = s })
	set("uid", 128, func(r, _, _ map[string]any, s string) { r["uid"] = s })
	set("container", 63, func(_, _, c map[string]any, s string) { c["name"] = s })
	set("init_container", 63, func(_, pod, _ map[string]any, s string) {
		spec(pod)["initContainers"] = []any{map[string]any{"name": s, "image": good}}
	})
	set("ephemeral_container", 63, func(_, pod, _ map[string]any, s string) {
		spec(pod)["ephemeralContainers"] = []any{map[string]any{"name": s, "image": good}}
	})
	set("image_volume", 63, func(_, pod, _ map[string]any, s string) {
		spec(pod)["volumes"] = []any{map[string]any{"name": s, "image": map[string]any{"reference": good}}}
	})
	set("volume", 63, func(_, pod, _ map[string]any, s string) {
		spec(pod)["volumes"] = []any{map[string]any{"name": s, "emptyDir": map[string]any{}}}
	})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { checkBound(t, test.change, test.limit >= 0) })
	}
	for name, change := range map[string]func(r, pod, container map[string]any){
		"kind":             func(r, _, _ map[string]any) { r["kind"].(map[string]any)["kind"] = x(254) },
		"group":            func(r, _, _ map[string]any) { r["kind"].(map[string]any)["group"] = x(254) },
		"version":          func(r, _, _ map[string]any) { r["kind"].(map[string]any)["version"] = x(254) },
		"sub_resource":     func(r, _, _ map[string]any) { r["subResource"] = x(254) },
		"operation":        func(r, _, _ map[string]any) { r["operation"] = x(254) },
		"upper_case":       func(r, _, _ map[string]any) { r["namespace"] = "Shop" },
		"like_exempt":      func(r, _, _ map[string]any) { r["namespace"] = "KUBE-SYSTEM" },
		"slash":            func(r, _, _ map[string]any) { r["namespace"] = "a/b" },
		"dot":              func(r, _, _ map[string]any) { r["namespace"] = "a.b" },
		"new_line":         func(r, _, _ map[string]any) { r["namespace"] = "shop\n" },
		"hyphen_first":     func(r, _, _ map[string]any) { r["namespace"] = "-shop" },
		"not_ascii":        func(r, _, _ map[string]any) { r["namespace"] = "büro" },
		"escaped_and_long": func(r, _, _ map[string]any) { r["namespace"] = strings.Repeat("\u0000", 64) },
	} {
		t.Run(name, func(t *testing.T) { checkBound(t, change, false) })
	}
}

// plainReview is a review as maps, which take any length.
func plainReview() (v, r, pod, container map[string]any) {
	container = map[string]any{"name": "c", "image": good}
	pod = map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p"},
		"spec": map[string]any{"containers": []any{container}},
	}
	r = map[string]any{
		"uid": "u", "kind": map[string]any{"group": "", "version": "v1", "kind": "Pod"}, "name": "p", "namespace": "shop",
		"operation": "CREATE", "userInfo": map[string]any{"username": "dev"}, "object": pod, "dryRun": false,
	}
	return map[string]any{"apiVersion": apiVersion, "kind": "AdmissionReview", "request": r}, r, pod, container
}

func checkBound(t *testing.T, change func(r, pod, container map[string]any), allowed bool) {
	t.Helper()
	v, r, pod, container := plainReview()
	change(r, pod, container)
	var log bytes.Buffer
	d := &asked{}
	resp, err := NewReviewer(Default(), d, Options{Log: slog.New(slog.NewJSONHandler(&log, nil))}).Review(t.Context(), encode(t, v), DefaultCluster)
	switch {
	case err != nil && !errors.Is(err, gate.ErrReviewInvalid):
		t.Fatal(err)
	case allowed && (err != nil || !resp.Allowed):
		t.Fatalf("at the limit: got %v, %s", err, resp.Message)
	case allowed:
		return
	case err == nil && (resp.Allowed || resp.Code != gate.CodeReviewInvalid):
		t.Errorf("over the limit: got %s %q, want %s", resp.Code, resp.Message, gate.CodeReviewInvalid)
	case err == nil && len(resp.JSON()) > 5000:
		t.Errorf("the answer has %d bytes", len(resp.JSON()))
	}
	if len(d.requests) > 0 {
		t.Errorf("over the limit: %d questions were asked", len(d.requests))
	}
	if log.Len() > 5000 {
		t.Errorf("the log line has %d bytes", log.Len())
	}
}

// TestReview_user: a name of a user may be as long as it is; only up to
// gate.MaxUser bytes of it are read, and whoever reads it learns of the rest.
func TestReview_user(t *testing.T) {
	tests := map[string]struct {
		name string
		kept bool
	}{
		"at_the_limit":    {strings.Repeat("x", gate.MaxUser), true},
		"one_more":        {strings.Repeat("x", gate.MaxUser+1), false},
		"escaped":         {strings.Repeat("\u0001", gate.MaxUser), true},
		"escaped_longer":  {strings.Repeat("\u0001", gate.MaxUser+1), false},
		"a_megabyte":      {strings.Repeat("x", 1<<20), false},
		"letters_of_four": {strings.Repeat("\U0001f600", gate.MaxUser/4), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v, r, _, _ := plainReview()
			r["userInfo"] = map[string]any{"username": test.name}
			d := &asked{}
			resp, err := NewReviewer(Default(), d, Options{}).Review(t.Context(), encode(t, v), DefaultCluster)
			if err != nil || !resp.Allowed || len(d.requests) != 1 {
				t.Fatalf("got %v, %s, %d questions; want an allow", err, resp.Message, len(d.requests))
			}
			got := d.requests[0]
			switch {
			case test.kept && (got.User != test.name || got.LongUser != 0):
				t.Errorf("the user has %d bytes (%d left out), want %d", len(got.User), got.LongUser, len(test.name))
			case !test.kept && (got.User != "" || got.LongUser <= gate.MaxUser):
				t.Errorf("a long name: %d bytes are kept, %d said", len(got.User), got.LongUser)
			}
		})
	}
}

// TestReview_nesting: deep nesting is refused wherever it is.
func TestReview_nesting(t *testing.T) {
	nested := func(levels int, open, shut string) string {
		return strings.Repeat(open, levels) + `"` + strings.Repeat("x", 1000) + `"` + strings.Repeat(shut, levels)
	}
	insert := func(at, value string) []byte {
		v, _, _, _ := plainReview()
		before := encode(t, v)
		after := bytes.Replace(before, []byte(`"`+at+`": {`), []byte(`"`+at+`": {"zzz":`+value+","), 1)
		if len(after) == len(before) {
			t.Fatalf("the review has no %q", at)
		}
		return after
	}
	for _, at := range []string{"request", "object", "metadata", "spec", "userInfo"} {
		for name, value := range map[string]string{"objects": nested(9900, `{"a":`, "}"), "arrays": nested(9900, "[", "]"), "just_too_deep": nested(maxNesting, "[", "]")} {
			t.Run(at+"_"+name, func(t *testing.T) {
				d := &asked{}
				resp, err := NewReviewer(Default(), d, Options{}).Review(t.Context(), insert(at, value), DefaultCluster)
				if err != nil || resp.Allowed || resp.Code != gate.CodeReviewInvalid || len(d.requests) > 0 {
					t.Errorf("got %v, %s %q, %d questions; want %s", err, resp.Code, resp.Message, len(d.requests), gate.CodeReviewInvalid)
				}
			})
		}
		t.Run(at+"_deep_enough", func(t *testing.T) {
			resp, err := NewReviewer(Default(), &asked{}, Options{}).Review(t.Context(), insert(at, nested(maxNesting-10, "[", "]")), DefaultCluster)
			if err != nil || !resp.Allowed {
				t.Errorf("got %v, %s, want an allow", err, resp.Message)
			}
		})
	}
}

// TestReview_decodesInPlaces: bodies are read by as many goroutines as there
// are processors; who finds no time is told to try again.
func TestReview_decodesInPlaces(t *testing.T) {
	r := NewReviewer(Default(), &asked{}, Options{})
	v, _, _, _ := plainReview()
	body := encode(t, v)
	for range cap(r.processors) {
		r.processors <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Review(ctx, body, DefaultCluster); !errors.Is(err, gate.ErrBusy) {
		t.Errorf("all places are taken: got %v, want ErrBusy", err)
	}
	for range cap(r.processors) {
		<-r.processors
	}
	for range 3 * cap(r.processors) {
		if resp, err := r.Review(t.Context(), body, DefaultCluster); err != nil || !resp.Allowed {
			t.Fatalf("places are free: got %v, %s", err, resp.Message)
		}
	}
}
