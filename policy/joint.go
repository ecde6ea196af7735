package policy

import (
	"crypto/sha256"
	"encoding/json"
	"iter"
	"math"
	"strings"
	"time"
	"unique"

	"github.com/digestgate/digestgate/gate"
)

// What the tables say of the findings of an image is part of the key under which decisions
// about it are remembered, as far as the rules see it. So a new table has only those
// decided again of which something differs, and nothing of an image is read to know that:
// the ids of its vulnerabilities are kept in memory (mark).

// shown is a vulnerability with what the tables say of it.
type shown struct {
	*gate.Vulnerability
	gate.Joined
}

// joint is what the tables say of the findings of a question.
type joint struct {
	tables Tables // nil: nothing is joined
	see    *tableSight
	where  gate.Whereabouts
	at     time.Time

	sum    memoKey   // of all of it that the rules see; zero for nothing
	hidden int       // how many a statement hides, of any severity
	until  time.Time // when the first of these statements is too old; zero for never
}

// period is when the joint is what it is.
func (j *joint) period() period { return period{end: j.until} }

// mark are the vulnerabilities of findings with all their names, in their order.
type mark struct {
	ids   []unique.Handle[string]
	ranks []uint8 // places in gate.Severities
	// beside: there are documents beside the image, which may state something.
	beside bool
}

func markOf(f *gate.Findings) mark {
	m := mark{make([]unique.Handle[string], len(f.Vulnerabilities)), make([]uint8, len(f.Vulnerabilities)), f.Beside.Alike() != ""}
	for i := range f.Vulnerabilities {
		m.ids[i], m.ranks[i] = unique.Make(namesOf(&f.Vulnerabilities[i])), uint8(gate.SeverityRank(f.Vulnerabilities[i].Severity))
	}
	return m
}

// namesOf are the names of a vulnerability as one text; nearly all have one.
func namesOf(v *gate.Vulnerability) string {
	if len(v.Aliases) == 0 {
		return v.ID
	}
	return v.ID + nameBreak + strings.Join(v.Aliases, nameBreak)
}

// nameBreak is in no name: a matcher takes a name out of data that has none with it.
const nameBreak = "\n"

func (m mark) bytes() int64 { return 200 + 9*int64(len(m.ids)) }

// keptJoint is a joint with what it was made of.
type keptJoint struct {
	joint
	// stated: a statement is about one of the vulnerabilities, so that it depends on the
	// image and its place.
	stated bool
}

// markKey names what findings have in common with those of images that are alike; "" for
// findings without vulnerabilities.
func markKey(r *gate.Record) (key string, any bool) {
	if !r.FindingsSummarized() {
		return "f" + r.FindingsID, true
	}
	alike := r.Summary.Findings.Alike[leastSevere]
	return "a" + alike, alike != ""
}

func (s *activeSet) jointKey(key string, w *gate.Whereabouts) memoKey {
	var b written
	b = append(b, s.id[:]...)
	b.text(key)
	if w != nil {
		b.text(string(w.Digest))
		b.text(w.Location.Registry)
		b.text(w.Location.Repository)
		b.text(w.Host)
	}
	return sha256.Sum256(b)
}

// joins reports whether the rules see anything of the tables in findings.
func (s *tableSight) joins() bool { return s.epss || s.kev || s.live || s.accepted }

func whereabouts(q *gate.Question) gate.Whereabouts {
	return gate.Whereabouts{Digest: q.Digest, Location: q.Location, Host: q.Host}
}

// jointOf is what the tables say of the findings that the record names; ok is false where
// the findings have to be read for it: see noteJoint.
func (e *Engine) jointOf(set *activeSet, q *gate.Question, t Tables) (j joint, ok bool) {
	see := &set.visible.tables
	if t == nil || !see.joins() {
		return joint{}, true
	}
	key, any := markKey(&q.Record)
	if !any {
		return joint{}, true
	}
	w := whereabouts(q)
	common, ok := e.joints.get(set.jointKey(key, nil))
	if !ok || common.tables != t {
		m, ok := e.marks.get(key)
		if !ok {
			return joint{}, false
		}
		common = set.commonJoint(t, m)
		e.joints.put(set.jointKey(key, nil), common, jointBytes)
	}
	if !common.stated {
		common.where, common.at = w, q.Now
		return common.joint, true
	}
	own, ok := e.joints.get(set.jointKey(key, &w))
	if !ok || own.tables != t || !own.until.IsZero() && !q.Now.Before(own.until) {
		return joint{}, false
	}
	return own.joint, true
}

// jointBytes is what a joint takes with its place in the cache.
const jointBytes = 400

// commonJoint is the joint of all images with these vulnerabilities, as far as no
// statement is about one.
func (s *activeSet) commonJoint(t Tables, m mark) keptJoint {
	see := &s.visible.tables
	k := keptJoint{joint: joint{tables: t, see: see}, stated: m.beside && (see.live || see.accepted)}
	var w written
	for i, id := range m.ids {
		names := strings.SplitSeq(id.Value(), nameBreak)
		if see.live || see.accepted {
			for name := range names {
				k.stated = k.stated || t.States(name)
			}
		}
		if int(m.ranks[i]) <= s.visible.least {
			see.write(&w, i, t, names)
		}
	}
	if len(w) > 0 {
		k.sum = sha256.Sum256(w)
	}
	return k
}

// write writes down what the rules see of a vulnerability.
func (s *tableSight) write(w *written, i int, t Tables, names iter.Seq[string]) {
	if !s.epss && !s.kev {
		return
	}
	j := gate.JoinExploits(t, names)
	if s.epss {
		if score := j.EPSS; score != nil {
			w.number(int64(i)<<2 | 1)
			w.number(int64(math.Float64bits(score.Score)))
			w.number(int64(math.Float64bits(score.Percentile)))
		}
	}
	if s.kev {
		if k := j.KEV; k != nil {
			w.number(int64(i)<<2 | 2)
			w.time(k.AddedAt)
			w.time(k.DueAt)
			w.flag(k.Ransomware)
		}
	}
}

// noteJoint makes the joint of findings that were read, and remembers it where they are
// those that the record names.
func (e *Engine) noteJoint(set *activeSet, q *gate.Question, t Tables, f *gate.Findings) joint {
	if t == nil || !set.visible.tables.joins() {
		return joint{}
	}
	m := markOf(f)
	k := set.commonJoint(t, m)
	k.where, k.at = whereabouts(q), q.Now
	key, any := markKey(&q.Record)
	if any {
		e.marks.put(key, m, m.bytes())
		e.joints.put(set.jointKey(key, nil), k, jointBytes)
	}
	if k.stated {
		k.hide(set.visible.selection, f)
		if any {
			e.joints.put(set.jointKey(key, &k.where), k, jointBytes)
		}
	}
	return k.joint
}

// joint is noteJoint of which nothing is remembered.
func (s *activeSet) joint(q *gate.Question, t Tables, f *gate.Findings) joint {
	if t == nil || !s.visible.tables.joins() {
		return joint{}
	}
	k := s.commonJoint(t, markOf(f))
	k.where, k.at = whereabouts(q), q.Now
	if k.stated {
		k.hide(s.visible.selection, f)
	}
	return k.joint
}

// hide adds what statements hide of findings to a joint.
func (k *keptJoint) hide(some selection, f *gate.Findings) {
	var w written
	w = append(w, k.sum[:]...)
	where := k.where
	where.Beside = k.tables.Beside(f.Beside)
	for i := range f.Vulnerabilities {
		v := &f.Vulnerabilities[i]
		s, ok := k.tables.Hides(where, v, k.at)
		if !ok {
			continue
		}
		k.hidden++
		if k.until.IsZero() || !s.Until.IsZero() && s.Until.Before(k.until) {
			k.until = s.Until
		}
		switch {
		case k.see.accepted:
			text, _ := json.Marshal(s) // texts and times
			w.number(int64(i)<<2 | 3)
			w.text(string(text))
		case gate.SeverityRank(v.Severity) <= some.least:
			w.number(int64(i)<<2 | 3)
		}
	}
	if some.counted {
		w.number(int64(k.hidden))
	}
	if k.hidden > 0 {
		k.sum = sha256.Sum256(w)
	}
}

// apply joins the tables to findings: those that are live, and those that a statement
// hides.
func (j *joint) apply(f *gate.Findings) (live, accepted []shown) {
	live = make([]shown, 0, len(f.Vulnerabilities))
	where := j.where
	if j.tables != nil {
		where.Beside = j.tables.Beside(f.Beside)
	}
	for i := range f.Vulnerabilities {
		one := shown{Vulnerability: &f.Vulnerabilities[i]}
		if j.tables == nil {
			live = append(live, one)
			continue
		}
		one.Joined = gate.JoinExploits(j.tables, one.Names())
		if s, ok := j.tables.Hides(where, one.Vulnerability, j.at); ok {
			one.VEX = &s
			accepted = append(accepted, one)
			continue
		}
		live = append(live, one)
	}
	return live, accepted
}
