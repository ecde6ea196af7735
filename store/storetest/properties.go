package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// runProperties checks the rules of DESIGN.md §5 on random histories. Rapid
// shrinks a history that breaks one to its shortest form.
func runProperties(t *testing.T, open func(t *testing.T) Harness) {
	check := func(name string, property func(*env, *rapid.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				e := newEnv(rt, open(t))
				defer func() { _ = e.s.Close() }()
				property(e, rt)
			})
		})
	}
	check("scheduler", schedulerProperty)
	check("fairness", fairnessProperty)
	check("sharing", sharingProperty)
	check("turns", turnsProperty)
	check("sharing_of_classes", classSharingProperty)
	check("resting", restingProperty)
	check("tags", tagProperty)
}

// machine drives a scheduler through a random history and remembers what must
// hold afterwards.
type machine struct {
	*env
	rt       *rapid.T
	newest   map[string]string // by kind and key: the id of the newest job
	ids      []string
	leases   []gate.Job // every claim ever made
	holder   map[string]int64
	records  map[gate.Digest]int64  // the highest epoch announced
	served   map[gate.Digest]string // the period of the charge when Serve or Restore succeeded
	restored map[string]int64       // by period: charges that no limit held back
	period   gate.Period
	limits   map[string]int64 // the highest limit of each period
	maxEpoch int64
}

const machineDigests = 5

var allTriggers = []gate.Trigger{gate.TriggerPush, gate.TriggerSync, gate.TriggerAdmission, gate.TriggerRescan, gate.TriggerAPI}

func schedulerProperty(e *env, rt *rapid.T) {
	m := &machine{
		env: e, rt: rt, newest: map[string]string{}, holder: map[string]int64{}, records: map[gate.Digest]int64{},
		served: map[gate.Digest]string{}, period: gate.Period{Key: "p1", Limit: 2}, limits: map[string]int64{"p1": 2},
		restored: map[string]int64{},
	}
	actions := map[string]func(*rapid.T){
		"enqueue":  m.doEnqueue,
		"claim":    m.doClaim,
		"serve":    m.doServe,
		"restore":  m.doRestore,
		"commit":   m.doCommit,
		"finish":   m.doFinish,
		"cancel":   m.doCancel,
		"advance":  m.doAdvance,
		"period":   m.doPeriod,
		"":         m.invariants,
		"enqueue2": m.doEnqueue, // twice as likely
		"claim2":   m.doClaim,
	}
	if e.reopen != nil {
		actions["crash"] = func(*rapid.T) { m.crash() }
	}
	rt.Repeat(actions)
	m.settle()
}

func (m *machine) doEnqueue(rt *rapid.T) {
	d := digest(name("m", rapid.IntRange(0, machineDigests-1).Draw(rt, "digest")))
	trigger := rapid.SampledFrom(allTriggers).Draw(rt, "trigger")
	req := gate.JobRequest{Kind: gate.JobAnalyze, Location: app, Digest: d, Trigger: trigger, Force: rapid.Bool().Draw(rt, "force")}
	if rapid.Bool().Draw(rt, "resolve") {
		req.Kind, req.Tag = gate.JobResolve, rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(rt, "tag")
	}
	key := string(req.Kind) + req.Key()
	want := gate.EnqueuedNew
	var before gate.Job
	if id, ok := m.newest[key]; ok {
		before = m.job(id)
		switch {
		case before.State.Live():
			want = gate.EnqueuedJoined
		case !store.MayRestart(before, trigger, m.now()):
			want = gate.EnqueuedLeft
		}
	}
	job := m.enqueue(req, want)
	switch want {
	case gate.EnqueuedNew:
		if slices.Contains(m.ids, job.ID) {
			m.Fatalf("id %q was used before", job.ID)
		}
		m.ids = append(m.ids, job.ID)
		m.newest[key] = job.ID
	case gate.EnqueuedJoined:
		if job.ID != before.ID || job.Priority > before.Priority || job.Priority > trigger.Priority() || (before.Force && !job.Force) {
			m.Fatalf("joining made %+v of %+v", job, before)
		}
	case gate.EnqueuedLeft:
		if job.ID != before.ID || job.State != before.State {
			m.Fatalf("leaving alone made %+v of %+v", job, before)
		}
	}
}

func (m *machine) doClaim(rt *rapid.T) {
	req := claimRequest()
	req.Period = m.period
	job, err := m.s.Claim(m.ctx, req)
	if errors.Is(err, gate.ErrNoJob) {
		return
	}
	m.no(err)
	if job.Epoch <= m.maxEpoch {
		m.Fatalf("epoch %d after %d", job.Epoch, m.maxEpoch)
	}
	m.maxEpoch = job.Epoch
	if job.State != gate.JobRunning || job.Attempts >= testAttempts {
		m.Fatalf("claimed %+v", job)
	}
	m.leases = append(m.leases, job)
	m.holder[job.ID] = job.Epoch
}

// pick draws a lease, old ones too, and says whether it must be refused.
func (m *machine) pick(rt *rapid.T) (job gate.Job, good bool) {
	if len(m.leases) == 0 {
		rt.Skip("no lease yet")
	}
	recent := min(len(m.leases), 6)
	job = m.leases[len(m.leases)-1-rapid.IntRange(0, recent-1).Draw(rt, "lease")]
	now := m.job(job.ID)
	return job, now.State == gate.JobRunning && now.Epoch == job.Epoch
}

func (m *machine) check(what string, err error, good bool) {
	m.Helper()
	switch {
	case good && err != nil:
		m.Fatalf("%s with a good lease: %v", what, err)
	case !good && !errors.Is(err, gate.ErrFenced) && !errors.Is(err, gate.ErrCancelled):
		m.Fatalf("%s with a lost lease: got %v", what, err)
	}
}

func (m *machine) doServe(rt *rapid.T) {
	job, good := m.pick(rt)
	m.check("Serve", m.s.Serve(m.ctx, job.Lease()), good)
	if !good || job.Kind != gate.JobAnalyze {
		return
	}
	charge, err := m.s.Charged(m.ctx, job.Digest)
	m.no(err)
	if before, ok := m.served[job.Digest]; !charge.Served || (ok && before != charge.Period) {
		m.Fatalf("served, but charged %+v after %q", charge, before)
	}
	m.served[job.Digest] = charge.Period
}

// doRestore charges a digest whatever its job does.
func (m *machine) doRestore(rt *rapid.T) {
	d := digest(name("m", rapid.IntRange(0, machineDigests-1).Draw(rt, "digest")))
	period := rapid.SampledFrom([]string{"p1", "p2", "p3"}).Draw(rt, "period")
	before, err := m.s.Charged(m.ctx, d)
	m.no(err)
	added, err := m.s.Restore(m.ctx, d, period, m.now())
	m.no(err)
	if added != (before.Period == "") {
		m.Fatalf("restoring a charge: got added %v after %+v", added, before)
	}
	m.served[d] = before.Period
	if added {
		m.served[d] = period
		m.restored[period]++
		m.limits[period] = max(m.limits[period], 0) // so that the invariants look at it
	}
}

// doCommit writes to the record like a claimant, whether it still holds the
// lease or not: what counts there is the epoch.
func (m *machine) doCommit(rt *rapid.T) {
	job, _ := m.pick(rt)
	highest := m.records[job.Digest]
	var err error
	if rapid.Bool().Draw(rt, "fence") {
		err = m.s.Fence(m.ctx, job.Digest, job.Epoch)
	} else {
		err = PutInventory(m.ctx, m.s, job.Epoch, &gate.Inventory{Format: 1, Digest: job.Digest, AnalyzerSet: fmt.Sprint(job.Epoch)})
	}
	if job.Epoch < highest {
		m.want(err, gate.ErrFenced)
		return
	}
	m.no(err)
	m.records[job.Digest] = job.Epoch
}

func (m *machine) doFinish(rt *rapid.T) {
	job, good := m.pick(rt)
	result := gate.Result{MaxAttempts: testAttempts, Final: rapid.Bool().Draw(rt, "final"), Err: rapid.SampledFrom([]error{
		nil, gate.ErrScanFailed, gate.ErrIntegrity, gate.ErrRegistryUnavailable, gate.ErrResource, gate.ErrYielded, gate.ErrBusy,
		gate.ErrCancelled, gate.ErrUnassessable, errors.New("a bug"),
	}).Draw(rt, "result")}
	before := m.job(job.ID)
	after, err := m.s.Finish(m.ctx, job.Lease(), result)
	m.check("Finish", err, good)
	if !good {
		return
	}
	if after.State == gate.JobRunning || after.Attempts > testAttempts {
		m.Fatalf("finished with %v: %+v", result.Err, after)
	}
	if class, _ := gate.Classify(result.Err); result.Err != nil && class.Retry && !result.Final && after.Attempts != before.Attempts {
		m.Fatalf("%v burnt an attempt: %+v", result.Err, after)
	}
}

func (m *machine) doCancel(rt *rapid.T) {
	if len(m.ids) == 0 {
		rt.Skip("no job yet")
	}
	id := rapid.SampledFrom(m.ids).Draw(rt, "id")
	live := m.job(id).State.Live()
	_, err := m.s.Cancel(m.ctx, id)
	if !live {
		m.want(err, gate.ErrConflict)
		return
	}
	m.no(err)
	m.wantState(id, gate.JobCancelled)
}

func (m *machine) doAdvance(rt *rapid.T) {
	m.advance(rapid.SampledFrom([]time.Duration{time.Second, testLease, gate.AdmissionRestart}).Draw(rt, "by"))
}

func (m *machine) doPeriod(rt *rapid.T) {
	m.period.Key = rapid.SampledFrom([]string{"p1", "p2", "p3"}).Draw(rt, "period")
	m.period.Limit = int64(rapid.IntRange(1, 3).Draw(rt, "limit"))
	m.limits[m.period.Key] = max(m.limits[m.period.Key], m.period.Limit)
}

// invariants hold after every step.
func (m *machine) invariants(*rapid.T) {
	live := map[string]string{}
	stored := m.scan().jobs // one query for all
	for _, id := range m.ids {
		job, ok := stored[id]
		if !ok {
			m.Fatalf("acknowledged job %q is lost", id)
		}
		if !job.State.Live() {
			continue
		}
		key := string(job.Kind) + job.Key
		if other, ok := live[key]; ok {
			m.Fatalf("jobs %q and %q of %q are live", other, id, key)
		}
		live[key] = id
		if m.newest[key] != id {
			m.Fatalf("job %q of %q is live, the newest is %q", id, key, m.newest[key])
		}
	}
	used := int64(0)
	for period, limit := range m.limits {
		use, err := m.s.Quota(m.ctx, period)
		m.no(err)
		if use.Used < 0 || use.Used > limit+m.restored[period] {
			m.Fatalf("period %s: %d used of at most %d and %d restored", period, use.Used, limit, m.restored[period])
		}
		used += use.Used
	}
	charged := int64(0)
	for i := range machineDigests {
		d := digest(name("m", i))
		charge, err := m.s.Charged(m.ctx, d)
		m.no(err)
		if want, ok := m.served[d]; ok && (charge.Period != want || !charge.Served) {
			m.Fatalf("%s is charged %+v, was served in %q", d.Short(), charge, want)
		}
		if charge.Period != "" {
			charged++
		}
	}
	if used != charged {
		m.Fatalf("%d used in all periods, %d digests are charged", used, charged)
	}
}

// settle ends everything and checks the accounts: charged is what reached
// Serve, and nothing that was cancelled has come back.
func (m *machine) settle() {
	for _, id := range m.ids {
		if m.job(id).State.Live() {
			_, err := m.s.Cancel(m.ctx, id)
			m.no(err)
		}
	}
	m.invariants(nil)
	for i := range machineDigests {
		d := digest(name("m", i))
		charge, err := m.s.Charged(m.ctx, d)
		m.no(err)
		if charge.Period != m.served[d] {
			m.Fatalf("%s is charged %+v, served in %q", d.Short(), charge, m.served[d])
		}
	}
	m.advance(time.Hour)
	m.claimNone()
}

// fairnessProperty: whatever is asked for in whatever order, no class that
// waits is passed over ten times in a row.
func fairnessProperty(e *env, rt *rapid.T) {
	waiting, passed := map[gate.Priority]int{}, map[gate.Priority]int{}
	n := 0
	rt.Repeat(map[string]func(*rapid.T){
		"enqueue": func(rt *rapid.T) {
			for range rapid.IntRange(1, 12).Draw(rt, "jobs") {
				n++
				job := e.enqueue(analyze(name("f", n), rapid.SampledFrom(allTriggers).Draw(rt, "trigger")), gate.EnqueuedNew)
				waiting[job.Priority]++
			}
		},
		"claims": func(rt *rapid.T) {
			for range rapid.IntRange(1, 15).Draw(rt, "claims") {
				job, err := e.s.Claim(e.ctx, claimRequest())
				if errors.Is(err, gate.ErrNoJob) {
					break
				}
				e.no(err)
				waiting[job.Priority]--
				for class, left := range waiting {
					passed[class]++
					if class == job.Priority || left == 0 {
						passed[class] = 0
					}
					if passed[class] >= 10 {
						e.Fatalf("class %s was passed over %d times", class, passed[class])
					}
				}
				e.finish(job, nil, gate.JobDone)
			}
		},
	})
}

// tagProperty compares a tag with the rules as DESIGN.md §5 words them: the
// read that started last wins, and a mark that is not older than it stands.
func tagProperty(e *env, rt *rapid.T) {
	var marks, reads []time.Time
	found := map[time.Time]gate.Digest{}
	rt.Repeat(map[string]func(*rapid.T){
		"read": func(rt *rapid.T) {
			at := e.now().Add(-time.Duration(rapid.IntRange(0, 5).Draw(rt, "ago")) * time.Second)
			if _, twice := found[at]; twice {
				rt.Skip("two reads at one instant have no order")
			}
			d := gate.Digest("")
			if i := rapid.IntRange(0, 3).Draw(rt, "digest"); i > 0 {
				d = digest(name("t", i))
			}
			found[at], reads = d, append(reads, at)
			e.putTag("v1", d, at)
		},
		"mark": func(*rapid.T) {
			marks = append(marks, e.now())
			e.no(e.s.MarkDirty(e.ctx, key("v1")))
		},
		"advance": func(rt *rapid.T) { e.advance(time.Second) },
		"": func(*rapid.T) {
			m, known := e.tag("v1")
			if !known {
				if len(marks)+len(reads) > 0 {
					e.Fatalf("the tag is unknown after %d reads and %d marks", len(reads), len(marks))
				}
				return
			}
			var last time.Time
			for _, at := range reads {
				if at.After(last) {
					last = at
				}
			}
			dirty := slices.ContainsFunc(marks, func(at time.Time) bool { return !at.Before(last) })
			if !m.ReadAt.Equal(last) || m.Digest != found[last] || m.Gone != (len(reads) > 0 && found[last] == "") || m.Dirty != dirty {
				e.Fatalf("got %+v, want the read of %s (%q), dirty %v", m, last, found[last], dirty)
			}
		},
	})
}
