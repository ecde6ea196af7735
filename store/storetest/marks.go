package storetest

import (
	"time"

	"github.com/digestgate/digestgate/gate"
)

// markCases: a mark is the same as long as nothing of the record is different, and another
// one after each write of it. They are cases of reading.
var markCases = []testCase{
	{"marks_of_what_is_unknown", func(e *env) {
		e.see("a")
		marks := e.marks("a", "b")
		if _, known := marks[digest("b")]; known || marks[digest("a")] == 0 || len(marks) != 1 {
			e.Fatalf("got %v", marks)
		}
		if marks := e.marks(); len(marks) != 0 {
			e.Fatalf("of nothing: %v", marks)
		}
	}},
	{"marks_tell_each_change", func(e *env) {
		names := []string{"a"}
		for i := range 150 { // more than one statement asks for
			names = append(names, name("beside", i))
			e.see(name("beside", i))
		}
		e.see("a")
		before := e.marks(names...)
		look := func(what string) {
			e.Helper()
			if now := e.marks(names...); now[digest("a")] == before[digest("a")] || now[digest("a")] == 0 {
				e.Errorf("%s does not change the mark", what)
			} else {
				before = now
			}
			again := e.marks(names...)
			for _, n := range names {
				if again[digest(n)] != before[digest(n)] {
					e.Errorf("%s: the mark of %s changes by itself", what, n)
				}
			}
		}
		_, err := e.s.AddLocation(e.ctx, digest("a"), web)
		e.no(err)
		look("a location")
		e.no(e.s.MarkGone(e.ctx, digest("a"), web))
		look("that it is gone")
		e.no(e.s.Fence(e.ctx, digest("a"), 1))
		look("a claim")
		inv := inventory("a", "set")
		written, err := e.s.PutInventory(e.ctx, 1, inv)
		e.no(err)
		look("an inventory")
		f := findings("a", written.ID, 1)
		first, err := e.s.PutFindings(e.ctx, f, "")
		e.no(err)
		look("findings")
		_, err = e.s.PutFindings(e.ctx, f, first.ID)
		e.no(err)
		if now := e.marks("a"); now[digest("a")] != before[digest("a")] {
			e.Errorf("the same findings change the mark")
		}
		verdict := gate.Verdict{Location: app, Decision: gate.Decision{Outcome: gate.OutcomeDeny, Code: gate.CodePolicy, Reasons: []gate.Reason{}, PolicyRevision: "p1", EvaluatedAt: e.now()}}
		put := func() {
			rec := e.record("a")
			_, err = e.s.PutVerdicts(e.ctx, digest("a"), rec.Basis(), []gate.Verdict{verdict})
			e.no(err)
		}
		put()
		look("a verdict")
		verdict.Outcome, verdict.Code = gate.OutcomeAllow, ""
		put()
		look("another verdict")
		verdict.PolicyRevision = "p2"
		put()
		look("a verdict that the feed is not told")
		verdict.EvaluatedAt = verdict.EvaluatedAt.Add(time.Minute)
		put()
		if now := e.marks("a"); now[digest("a")] != before[digest("a")] {
			e.Errorf("a verdict that is not written changes the mark")
		}
	}},
}

func (e *env) marks(names ...string) map[gate.Digest]gate.Mark {
	e.Helper()
	var digests []gate.Digest
	for _, n := range names {
		digests = append(digests, digest(n))
	}
	marks, err := e.s.Marks(e.ctx, digests)
	if err != nil {
		e.Fatalf("Marks: %v", err)
	}
	return marks
}

// see makes a digest known at a location.
func (e *env) see(name string) {
	e.Helper()
	_, err := e.s.AddLocation(e.ctx, digest(name), app)
	e.no(err)
}
