package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/store/storetest/stock"
)

func TestParse(t *testing.T) {
	o, err := parse([]string{"-images", "5000", "-only", "reviews,search"}, io.Discard)
	if err != nil || o.asked != 500 || o.small != 250 {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, args := range []string{"-images 0", "-only nothing", "-stores postgres", "-images 10 -asked 11", "-rate 0", "-profiles dir"} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

// TestReviewsAskForDifferentImages, each as often as the others, in reviews that
// admission reads.
func TestReviewsAskForDifferentImages(t *testing.T) {
	s := stock.New(stock.Options{Images: 1000})
	bodies := reviews(s, 300)
	if len(bodies) != 100 {
		t.Fatalf("%d reviews, want 100", len(bodies))
	}
	seen := map[string]int{}
	deny := 0
	for _, r := range bodies {
		body := r.body
		if r.deny {
			deny++
		}
		n := 0
		if _, err := admission.EachObject(bytes.NewReader(body), func(admission.WrappedReview) error { n++; return nil }); err != nil || n != 1 {
			t.Fatalf("%s: %d reviews, %v", body, n, err)
		}
		for part := range strings.SplitSeq(string(body), `"image":"`) {
			if image, _, ok := strings.Cut(part, `"`); ok && strings.HasPrefix(image, harborHost) {
				seen[image]++
			}
		}
	}
	if deny < 5 || deny > 40 {
		t.Errorf("%d of 100 reviews are to be denied, want about 15", deny)
	}
	if len(seen) != 300 {
		t.Errorf("%d different images, want 300", len(seen))
	}
}

func TestPercentile(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(i))
	}
	if p50, p99, most := percentile(all, 50), percentile(all, 99), percentile(all, 100); p50 != 50 || p99 != 99 || most != 99 {
		t.Errorf("got %d, %d, %d", p50, p99, most)
	}
	if percentile(nil, 99) != 0 {
		t.Error("of none it is not 0")
	}
}

func TestRefused(t *testing.T) {
	var o outcome
	o.add(outcome{answers: map[string]int{allowed: 5, deniedByPolicy: 2, "TIMEOUT": 1}})
	o.add(outcome{answers: map[string]int{allowed: 1, "failed": 2}})
	if total(o) != 11 || o.refused() != 3 {
		t.Errorf("%d of %d refused, want 3 of 11", o.refused(), total(o))
	}
}

// TestJournal: lines are found from a mark on, before and after they come.
func TestJournal(t *testing.T) {
	j := newJournal()
	j.add(`{"msg":"stored images matched again","matched":3}`)
	mark := j.mark()
	if _, ok := j.find(mark, says(matchedAgain)); ok {
		t.Error("a line from before the mark was found")
	}
	go j.add(`{"msg":"stored images matched again","matched":7}`)
	l, err := j.wait(t.Context(), mark, says(matchedAgain))
	if err != nil || l.number("matched") != 7 {
		t.Errorf("got %+v, %v", l, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.wait(ctx, j.mark(), says(inUse)); err == nil {
		t.Error("no error at the end of the context")
	}
}

func TestTable(t *testing.T) {
	var tab table
	tab.add("a", "sqlite", "1")
	tab.add("a", "redis", "2")
	tab.add("b", "redis", "3")
	var b strings.Builder
	tab.print(&b)
	if want := "| | sqlite | redis |\n|---|---|---|\n| a | 1 | 2 |\n| b |  | 3 |\n"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
}
