package policy

import (
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// memoKey is the hash of everything that the rules' answer depends on (DESIGN.md
// §2), written down so that no two questions are written alike: keys weigh the
// same, however long what is in them. Of the event, the
// tags and the request it holds only what the compiled policies mention, so
// that all Pods of a deployment, and all deployments under a policy that does
// not look at namespaces, share one decision.
type memoKey [sha256.Size]byte

// memo is the rules' answer and when it was given.
type memo struct {
	reasons []gate.Reason
	at      time.Time
}

// fresh reports whether the memo may answer at now. With a policy that sees
// the time it holds for 30 s, in both directions: clocks may step back.
func (m memo) fresh(now time.Time, timed bool) bool {
	return !timed || now.Sub(m.at).Abs() <= timeMemo
}

func (m memo) bytes() int64 {
	n := int64(400)
	for _, r := range m.reasons {
		n += int64(len(r.Rule)+len(r.Msg)) + 100
		for _, f := range r.Findings {
			n += int64(len(f)) + 16
		}
	}
	return n
}

// key makes the key of a question.
func (m mentions) key(revision string, q gate.Question, g gate.Generation) memoKey {
	var b strings.Builder
	for _, s := range []string{
		revision, string(q.Digest), q.Record.InventoryID, q.Record.FindingsID,
		q.Location.Registry, q.Location.Repository, q.Host,
	} {
		appendText(&b, s)
	}
	if m.event {
		appendText(&b, "event")
		appendText(&b, string(q.Event))
	}
	if m.advisories {
		appendText(&b, "advisories")
		appendText(&b, strconv.FormatInt(g.Number, 10))
		appendText(&b, string(g.Content))
		appendText(&b, strconv.FormatInt(seconds(g.UpdatedAt), 10))
	}
	if m.tags {
		appendText(&b, "tags")
		appendText(&b, strconv.Itoa(len(q.Tags)))
		for _, t := range q.Tags {
			appendText(&b, t)
		}
	}
	if q.Request != nil {
		m.writeRequest(&b, q.Request)
	}
	return sha256.Sum256([]byte(b.String()))
}

// writeRequest writes down the mentioned fields.
func (m mentions) writeRequest(b *strings.Builder, r *gate.Request) {
	for _, f := range []struct{ name, value string }{
		{"cluster", r.Cluster}, {"namespace", r.Namespace}, {"kind", r.Kind}, {"name", r.Name},
		{"operation", r.Operation}, {"user", r.User}, {"container", r.Container},
	} {
		// Empty is what the input has outside admission too.
		if f.value != "" && m.request[f.name] {
			appendText(b, f.name)
			appendText(b, f.value)
		}
	}
	if !m.request["namespaceLabels"] {
		return
	}
	names := make([]string, 0, len(r.NamespaceLabels))
	for k := range r.NamespaceLabels {
		if m.any("request", "namespaceLabels", k) {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		appendText(b, "label")
		appendText(b, k)
		appendText(b, r.NamespaceLabels[k])
	}
}

// appendText quotes a text by its length.
func appendText(b *strings.Builder, s string) {
	b.WriteString(strconv.Itoa(len(s)))
	b.WriteByte(':')
	b.WriteString(s)
}
