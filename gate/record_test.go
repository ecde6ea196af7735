package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

func TestImageState(t *testing.T) {
	none := gate.Record{}
	scanned := gate.Record{InventoryID: "x"}
	unassessable := gate.Record{Manifest: gate.Manifest{Unassessable: "no Linux"}}
	both := gate.Record{InventoryID: "x", Manifest: gate.Manifest{Unassessable: "no Linux"}}
	in := func(s gate.JobState) *gate.Job { return &gate.Job{State: s} }
	for name, c := range map[string]struct {
		record gate.Record
		job    *gate.Job
		want   gate.State
	}{
		"unknown":             {none, nil, gate.StateNotScanned},
		"queued":              {none, in(gate.JobQueued), gate.StateQueued},
		"running":             {none, in(gate.JobRunning), gate.StateScanning},
		"parked":              {none, in(gate.JobParked), gate.StateQuotaExhausted},
		"failed":              {none, in(gate.JobFailed), gate.StateFailed},
		"cancelled":           {none, in(gate.JobCancelled), gate.StateCancelled},
		"failed_for_good":     {none, &gate.Job{State: gate.JobFailed, Reason: "unassessable"}, gate.StateUnassessable},
		"done_without_result": {none, in(gate.JobDone), gate.StateNotScanned},
		"unknown_job_state":   {none, in("later"), gate.StateNotScanned},
		"chart":               {gate.Record{Manifest: gate.Manifest{Kind: gate.KindChart}}, nil, gate.StateUnassessable},
		"signature":           {gate.Record{Manifest: gate.Manifest{Kind: gate.KindSignature}}, nil, gate.StateUnassessable},
		"scanned":             {scanned, nil, gate.StateScanned},
		"rescan_queued":       {scanned, in(gate.JobQueued), gate.StateScanned},
		"rescan_running":      {scanned, in(gate.JobRunning), gate.StateScanned},
		"rescan_parked":       {scanned, in(gate.JobParked), gate.StateScanned},
		"rescan_failed":       {scanned, in(gate.JobFailed), gate.StateScanned},
		"rescan_cancelled":    {scanned, in(gate.JobCancelled), gate.StateScanned},
		"unassessable":        {unassessable, nil, gate.StateUnassessable},
		"unassessable_queued": {unassessable, in(gate.JobQueued), gate.StateUnassessable},
		"unassessable_now":    {both, nil, gate.StateUnassessable},
	} {
		t.Run(name, func(t *testing.T) {
			if got := gate.ImageState(c.record, c.job); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := (gate.Entry{Record: c.record, Job: c.job}).State(); got != c.want {
				t.Errorf("entry: got %s, want %s", got, c.want)
			}
		})
	}
}

func TestCombineStates(t *testing.T) {
	// From what is decided to what never will be.
	order := []gate.State{
		gate.StateScanned, gate.StateScanning, gate.StateQueued, gate.StateQuotaExhausted, gate.StateNotScanned,
		gate.StateCancelled, gate.StateFailed, gate.StateUnassessable,
	}
	if len(order) != len(gate.States()) {
		t.Fatalf("%d states are ordered, there are %d", len(order), len(gate.States()))
	}
	for i, a := range order {
		if got := gate.CombineStates([]gate.State{a}); got != a {
			t.Errorf("%s alone: got %s", a, got)
		}
		for j, b := range order {
			want := order[max(i, j)]
			if got := gate.CombineStates([]gate.State{a, b, a}); got != want {
				t.Errorf("%s, %s: got %s, want %s", a, b, got, want)
			}
		}
	}
	if got := gate.CombineStates(nil); got != gate.StateUnassessable {
		t.Errorf("no children: got %s, want unassessable", got)
	}
	for _, list := range [][]gate.State{{"later", gate.StateScanned}, {gate.StateScanned, "later"}, {"later"}} {
		if got := gate.CombineStates(list); got == gate.StateScanned {
			t.Errorf("%v: an unknown state counts as scanned", list)
		}
	}
}

func TestWorse(t *testing.T) {
	order := []gate.Outcome{gate.OutcomeAllow, gate.OutcomeWarn, gate.OutcomeNone, gate.OutcomeDeny, "unknown"}
	for i, a := range order {
		for j, b := range order {
			if got, want := a.Worse(b), i > j; got != want {
				t.Errorf("%s worse than %s: got %t, want %t", a, b, got, want)
			}
		}
	}
	if gate.Outcome("").Worse("unknown") || !gate.Outcome("").Worse(gate.OutcomeDeny) {
		t.Error("the empty outcome is not as bad as an unknown one")
	}
}

func TestTagUsable(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	good := gate.TagMapping{Digest: "sha256:x", ReadAt: now.Add(-time.Minute)}
	for name, c := range map[string]struct {
		change func(*gate.TagMapping)
		want   bool
	}{
		"fresh":              {func(*gate.TagMapping) {}, true},
		"just_old_enough":    {func(m *gate.TagMapping) { m.ReadAt = now.Add(-time.Hour) }, true},
		"too_old":            {func(m *gate.TagMapping) { m.ReadAt = now.Add(-time.Hour - 1) }, false},
		"never_read":         {func(m *gate.TagMapping) { m.ReadAt = time.Time{} }, false},
		"read_since":         {func(m *gate.TagMapping) { m.ReadAt = now.Add(time.Second) }, true},
		"clock_was_set_back": {func(m *gate.TagMapping) { m.ReadAt = now.Add(2 * time.Hour) }, false},
		"dirty":              {func(m *gate.TagMapping) { m.Dirty = true }, false},
		"gone":               {func(m *gate.TagMapping) { m.Gone = true }, false},
		"no_digest":          {func(m *gate.TagMapping) { m.Digest = "" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := good
			c.change(&m)
			if got := m.Usable(now, time.Hour); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}

func TestRecordAt(t *testing.T) {
	here := gate.Location{Registry: "hub", Repository: "app"}
	r := gate.Record{Version: 1, Locations: []gate.LocationState{{Location: here, Gone: true}}}
	if at, ok := r.At(here); !ok || !at.Gone {
		t.Errorf("known location: got %+v, %t", at, ok)
	}
	for _, other := range []gate.Location{{}, {Registry: "hub"}, {Registry: "hub", Repository: "app2"}, {Registry: "second", Repository: "app"}} {
		if at, ok := r.At(other); ok {
			t.Errorf("%s: got %+v", other, at)
		}
	}
	if !r.Known() || (gate.Record{Digest: "sha256:x"}).Known() {
		t.Error("a record is known by its version")
	}
}

func TestTagSubject(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	for tag, want := range map[string]gate.Digest{
		"sha256-" + hex: gate.Digest("sha256:" + hex), "sha256-" + hex + ".sig": gate.Digest("sha256:" + hex), "sha256-" + hex + ".att": gate.Digest("sha256:" + hex),
		"sha256-" + hex + ".cosign.bundle": gate.Digest("sha256:" + hex),
		"v1":                               "", "sha256-" + hex[1:] + ".sig": "", "sha256-" + strings.ToUpper(hex): "", "x-sha256-" + hex: "", "sha512-" + hex + hex: "", "sha256-" + hex + "x": "",
	} {
		if got := gate.TagSubject(tag); got != want {
			t.Errorf("TagSubject(%q): got %q, want %q", tag, got, want)
		}
	}
}
