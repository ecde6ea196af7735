package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// memoKey is the hash of everything that the rules' answer depends on (DESIGN.md
// §2), written down so that no two questions are written alike. It holds only what
// the compiled policies can see: all Pods of a deployment, all deployments under a
// policy that does not look at namespaces, and all images in which the rules see the
// same, share one decision. The time is not in it; see memo.
type memoKey [sha256.Size]byte

// memo is the rules' answer and when it is one.
type memo struct {
	reasons []gate.Reason
	holds   period
	late    time.Duration // see turnSpread; 0 when the rules see the time itself
}

func (m *memo) fresh(now time.Time) bool { return m.holds.holds(now, m.late) }

// turnSpread is how late a decision may be evaluated again after an age has turned.
// The ages of all images turn together with that of the advisories: each key has a
// moment of its own, so that the images of a cluster are not all evaluated in one. It
// is within the 30 s for which every decision that sees the time may be kept.
const turnSpread = 20 * time.Second

// spread is the key's part of turnSpread.
func (v *visible) spread(k *memoKey) time.Duration {
	if v.clock {
		return 0
	}
	return turnSpread * time.Duration(binary.LittleEndian.Uint16(k[:])) / (1 << 16)
}

// memoBytes is what a memo takes apart from its reasons, with its place in the cache.
const memoBytes = 400

func reasonBytes(r *gate.Reason) int64 {
	n := int64(len(r.Rule)+len(r.Msg)) + 160
	for _, f := range r.Findings {
		n += int64(len(f)) + 16
	}
	return n
}

// turn is the period around now in which the rules see the same: until the earliest
// turn of any age that they see, or for 30 s in both directions when they see the time
// itself, since clocks may step back. What else comes to depend on the time, such as
// the start and the end of exceptions, ends it too.
func (v *visible) turn(q *gate.Question, fs *facts, own origin, t Tables) period {
	if v.clock {
		return period{q.Now.Add(-timeMemo), q.Now.Add(timeMemo + 1)}
	}
	p := v.tablesTurn(t, fs.family, fs.release, q.Now)
	g := inForce(q, own)
	unseen := v.unseen(q.Now, g)
	if unseen && v.advisoriesAge {
		p = p.meet(v.quiet.period(stamped(g.UpdatedAt), q.Now))
	}
	for _, a := range []struct {
		seen bool
		age  age
	}{
		{v.imageAge, claimed(fs.created)}, {v.scanAge, stamped(fs.analyzedAt)}, {v.advisoriesAge && !unseen, stamped(g.UpdatedAt)},
	} {
		if a.seen {
			p = p.meet(a.age.turn(q.Now))
		}
	}
	return p
}

// key makes the key of a question; own is the generation of the findings, j what the tables
// say of them.
func (s *activeSet) key(q *gate.Question, own origin, t Tables, j *joint) memoKey {
	w := rooms.Get().(*written)
	*w = append((*w)[:0], s.id[:]...)
	s.visible.writeImage(w, &q.Record)
	*w = append(*w, j.sum[:]...)
	s.visible.writeQuestion(w, q, own)
	i := &q.Record.Summary.Inventory
	s.visible.writeTables(w, t, i.Family, i.Release, q.Record.InventorySummarized(), q.Now)
	key := memoKey(sha256.Sum256(*w))
	rooms.Put(w)
	return key
}

// imageKey is the key of what all questions about an image share, where the tables say the
// same of it.
func (s *activeSet) imageKey(r *gate.Record, j *joint) memoKey {
	w := append(written(nil), s.id[:]...)
	s.visible.writeImage(&w, r)
	w = append(w, j.sum[:]...)
	return sha256.Sum256(w)
}

// unread is why a question cannot be answered, since the rules see what is not known of
// its request: the name of a user that was too long to be read, or the namespace's labels
// or annotations. The code is empty when it can.
func (s *activeSet) unread(q *gate.Question) (gate.Code, gate.Text) {
	switch r, see := q.Request, &s.visible.request; {
	case r == nil:
	case r.LongUser > 0 && see.user:
		return gate.CodeReviewInvalid, refusal.Say(refusal.ReviewUser, refusal.P{"bytes": r.LongUser, "most": gate.MaxUser})
	case r.NamespaceUnknown != "" && s.watched && see.watched():
		return gate.CodeTimeout, refusal.Say(refusal.NamespaceUnknown, refusal.P{"why": r.NamespaceUnknown})
	}
	return "", gate.Text{}
}

// watched reports whether the rules can see what is known of a namespace by watching its
// cluster.
func (s *requestSight) watched() bool { return s.labels != nil || s.annotations != nil }

// rooms are where keys are written down.
var rooms = sync.Pool{New: func() any { w := make(written, 0, 1024); return &w }}

// written is a key on its way: what was written so far.
type written []byte

func (w *written) text(s string) {
	w.number(int64(len(s)))
	*w = append(*w, s...)
}

func (w *written) number(n int64) { *w = binary.LittleEndian.AppendUint64(*w, uint64(n)) }

func (w *written) flag(v bool) {
	if v {
		*w = append(*w, 1)
		return
	}
	*w = append(*w, 0)
}

func (w *written) time(t time.Time) {
	w.number(t.Unix())
	w.number(int64(t.Nanosecond()))
}

// textIf writes a text that is seen. What is seen depends on the set alone, whose
// revision stands before it.
func (w *written) textIf(seen bool, s string) {
	if seen {
		w.text(s)
	}
}

// writeImage writes down what the rules see of an image: by value or by what it is alike
// to where the summary has it, otherwise by the id of the inventory or the findings.
func (v *visible) writeImage(w *written, r *gate.Record) {
	i, f := &r.Summary.Inventory, &r.Summary.Findings
	byInventory := !r.InventorySummarized() || v.inventory || v.secretsOwn && i.Secrets > 0
	w.flag(byInventory)
	if byInventory {
		w.text(r.InventoryID)
	} else {
		v.writeInventory(w, r)
	}
	byFindings := !r.FindingsSummarized() || v.vulnerabilitiesOwn && v.alike(f) != ""
	w.flag(byFindings)
	if byFindings {
		w.text(r.FindingsID)
		return
	}
	if v.eol {
		w.flag(f.EOL)
	}
	if v.matched {
		w.time(r.MatchedAt)
	}
	w.textIf(v.matcher, r.Matcher)
	w.textIf(v.vulnerabilities, v.alike(f))
	if v.counted {
		w.number(int64(r.Counts.Total()))
	}
	w.textIf(v.gaps, f.GapsAlike)
	w.textIf(v.risks, f.NamesAlike)
}

func (v *visible) writeInventory(w *written, r *gate.Record) {
	i := &r.Summary.Inventory
	w.textIf(v.platform, i.Platform)
	w.textIf(v.family, i.Family)
	w.textIf(v.release, i.Release)
	w.textIf(v.user, i.User)
	w.textIf(v.isolation, i.Isolation)
	w.textIf(v.analyzerSet, r.AnalyzerSet)
	w.textIf(v.risks, i.RisksAlike)
	w.textIf(v.secrets, i.SecretsAlike)
	if v.eol {
		w.flag(i.EOL)
	}
	if v.root {
		w.flag(runsAsRoot(i.User))
	}
	if v.created || v.imageAge {
		w.time(i.Created)
	}
	if v.analyzed || v.scanAge {
		w.time(r.AnalyzedAt)
	}
	if v.size {
		w.number(i.Size)
	}
}

// writeQuestion writes down what they see of the question besides; own is the
// generation of the findings.
func (v *visible) writeQuestion(w *written, q *gate.Question, own origin) {
	w.textIf(v.event, string(q.Event))
	w.textIf(v.registry, q.Location.Registry)
	w.textIf(v.repository, q.Location.Repository)
	w.textIf(v.host, q.Host)
	w.textIf(v.digest, string(q.Digest))
	v.writeGeneration(w, q.Now, inForce(q, own))
	if v.tags {
		w.number(int64(len(q.Tags)))
		for _, t := range q.Tags {
			w.text(t)
		}
	}
	if q.Request != nil {
		v.request.write(w, q.Request)
	}
}

// writeGeneration writes down what they see of the generation in force.
func (v *visible) writeGeneration(w *written, now time.Time, g gate.Generation) {
	if !v.generation && !v.content && !v.updated && !v.advisoriesAge {
		return
	}
	unseen := v.unseen(now, g)
	if w.flag(unseen); unseen {
		return
	}
	if v.generation {
		w.number(g.Number)
	}
	w.textIf(v.content, string(g.Content))
	if v.updated || v.advisoriesAge {
		w.time(g.UpdatedAt)
	}
}

// write writes down the mentioned fields. Empty is what the input has outside
// admission too.
func (s *requestSight) write(w *written, r *gate.Request) {
	for i, f := range [...]struct {
		seen  bool
		value string
	}{
		{s.cluster, r.Cluster}, {s.namespace, r.Namespace}, {s.kind, r.Kind}, {s.name, r.Name},
		{s.operation, r.Operation}, {s.user, r.User}, {s.container, r.Container},
	} {
		if f.seen && f.value != "" {
			w.number(int64(i))
			w.text(f.value)
		}
	}
	s.labels.write(w, -1, r.NamespaceLabels)
	s.annotations.write(w, -2, r.NamespaceAnnotations)
}

// write writes down those values of a map that are seen, after a number that no other
// part of the key begins with.
func (s *sight) write(w *written, part int64, m map[string]string) {
	if s == nil || len(m) == 0 {
		return
	}
	names := make([]string, 0, len(m))
	for k := range m {
		if s.any(k) {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		w.number(part)
		w.text(k)
		w.text(m[k])
	}
}
