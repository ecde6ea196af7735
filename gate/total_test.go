package gate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

// totalled is a lookup whose namespaces may queue a number of images together.
func (s *site) totalled(total int, known *lookup.Established) *lookup.Lookup {
	o := lookup.Options{TagMaxAge: time.Minute, NewDigestsPerHour: 5, NewDigestsPerHourTotal: total, Established: known}
	return s.lookupOn(s.store, s.store, o, nil)
}

func (s *site) established() *lookup.Established {
	return lookup.NewEstablished([]string{"default"}, s.store, s.Log, s.clock.Now)
}

// asks has a namespace ask for an image.
func (s *site) asks(l *lookup.Lookup, namespace, image string) gate.Answer {
	s.t.Helper()
	ref, err := gate.ParseReference(image)
	if err != nil {
		s.t.Fatal(err)
	}
	return l.Decide(s.ctx, ref, gate.Request{Cluster: "default", Namespace: namespace, Operation: "CREATE"})
}

// TestInventedNamespaces: namespaces that nobody has made can queue half of the
// total; the other half is for those in which an image was admitted, over
// replicas and restarts; and it ends with the hour.
func TestInventedNamespaces(t *testing.T) {
	const total = 20
	s := newSite(t, month(0))
	good := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", good)
	s.work()
	known := s.established()
	l := s.totalled(total, known)
	if a := s.asks(l, "shop", s.at("team/app", "@"+string(good))); !a.Permits() {
		t.Fatalf("a scanned image: got %+v", a)
	}
	seed := uint64(100)
	unknown := func() string {
		seed++
		return s.at("team/app", "@"+string(s.push("team/app", fmt.Sprint("x", seed), seed)))
	}
	invented, last := 0, gate.Answer{}
	for i := range 3 * total {
		if last = s.asks(l, fmt.Sprint("invented-", i), unknown()); !strings.Contains(english(last), "newDigestsPerHourTotal") {
			invented++
		}
	}
	if invented != total/2 {
		t.Errorf("invented namespaces queued %d, want half of %d", invented, total)
	}
	ends := s.clock.Now().UTC().Truncate(time.Hour).Add(time.Hour).Format("15:04")
	if last.Code != gate.CodeUnscanned || !strings.Contains(english(last), "half of admission.newDigestsPerHourTotal") || !strings.Contains(english(last), ends+" UTC") {
		t.Errorf("beyond it: got %s %q", last.Code, english(last))
	}
	known.Flush(s.ctx)
	other := s.established() // a replica that was started later
	other.Flush(s.ctx)
	if !other.Has("default", "shop") || other.Has("default", "invented-1") || other.Has("elsewhere", "shop") {
		t.Error("another replica does not know the same namespaces")
	}
	l = s.totalled(total, other)
	for i := range 5 {
		if a := s.asks(l, "shop", unknown()); !strings.Contains(english(a), "queued now") {
			t.Errorf("image %d of the namespace with an admitted image: got %s %q", i, a.Code, english(a))
		}
	}
	if a := s.asks(l, "shop", unknown()); !strings.Contains(english(a), "(admission.newDigestsPerHour)") {
		t.Errorf("beyond its own budget: got %q", english(a))
	}
	// Pushes and the API draw on nothing.
	pushed := s.push("team/app", "pushed", 7)
	s.event("team/app", "pushed", pushed)
	if _, err := s.Scan(s.ctx, unknown(), false); err != nil {
		t.Errorf("asking by the API: %v", err)
	}
	s.clock.Advance(time.Hour)
	if a := s.asks(l, "invented-x", unknown()); !strings.Contains(english(a), "queued now") {
		t.Errorf("in the next hour: got %q", english(a))
	}
}

// TestTotalOfAllNamespaces: the total holds for those with an admitted image too.
func TestTotalOfAllNamespaces(t *testing.T) {
	s := newSite(t, month(0))
	known := s.established()
	l := s.totalled(6, known)
	queued := 0
	for i := range 10 {
		namespace := fmt.Sprint("team-", i)
		known.Note("default", namespace)
		a := s.asks(l, namespace, s.at("team/app", "@"+string(s.push("team/app", fmt.Sprint("v", i), uint64(i+1)))))
		switch {
		case strings.Contains(english(a), "queued now"):
			queued++
		case !strings.Contains(english(a), "all namespaces together have asked for their 6"):
			t.Errorf("got %q", english(a))
		}
	}
	if queued != 6 {
		t.Errorf("%d were queued, want 6", queued)
	}
}

// TestEstablishedIsBounded: neither invented namespaces nor clusters make it grow
// without end, and those that are known stay.
func TestEstablishedIsBounded(t *testing.T) {
	s := newSite(t, month(0))
	known := s.established()
	known.Note("default", "shop")
	for i := range 12_000 {
		known.Note("default", fmt.Sprint("invented-", i))
		known.Note(fmt.Sprint("invented-", i), "shop")
	}
	if !known.Has("default", "shop") || known.Has("default", "invented-11999") || known.Has("invented-1", "shop") {
		t.Error("the memory is not bounded, or has lost what it knew")
	}
	long := strings.Repeat("n", 64) // Kubernetes has none of this name
	if known.Note("default", long); known.Has("default", long) {
		t.Error("a name that no namespace has is remembered")
	}
	s.clock.Advance(60 * 24 * time.Hour)
	known.Note("default", "new")
	if !known.Has("default", "new") {
		t.Error("namespaces that are long gone leave no room")
	}
	known.Flush(s.ctx) // fits into a setting
	if again := s.established(); func() bool { again.Flush(s.ctx); return !again.Has("default", "new") }() {
		t.Error("it was not stored")
	}
}
