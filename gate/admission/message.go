package admission

import (
	"fmt"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// Limits of what people are shown, in bytes. The message's is ours (DESIGN.md
// §7); kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers
// says that API servers may cut a warning after 256 characters and drop them
// after 4,096 in all, from all webhooks together; we use half of that.
const (
	maxContact  = 200 // a fifth of the message: a sentence and a URL
	maxMessage  = 1024
	maxWarning  = 256
	maxWarnings = 2048
)

// message is status.message for refused images: the first in full, the others
// by path and code. When space is short, findings go first, then images.
func message(refused []checkedPlace, details Details, contact string) string {
	maxMessage := maxMessage - len(withContact("", contact))
	first := refused[0]
	row := "digestgate: " + string(first.answer.Code) + ": " + first.path() + ": " + quote(first.image, 320) + ": "
	rest := make([]string, 0, len(refused)-1)
	for _, j := range refused[1:] {
		rest = append(rest, "; "+j.path()+": "+string(j.answer.Code))
	}
	// The text keeps what it needs at least: its shortest form, or 200 bytes.
	least := min(len(sentence(first, details, 0)), 200)
	tail := ""
	for i, r := range rest {
		more := ""
		if left := len(rest) - i - 1; left > 0 {
			more = fmt.Sprintf("; and %d more", left)
		}
		if len(row)+least+len(tail)+len(r)+len(more) > maxMessage {
			tail += fmt.Sprintf("; and %d more", len(rest)-i)
			break
		}
		tail += r
	}
	return withContact(gate.Printable(row+fit(first, details, maxMessage-len(row)-len(tail))+tail, maxMessage), contact)
}

// withContact adds the operators' line to a message. Who makes the message leaves
// room for it, so that nothing cuts it away.
func withContact(message, contact string) string {
	if contact == "" {
		return message
	}
	return message + ". " + contact
}

// contactWarning is the operators' line as a warning.
func contactWarning(contact string) string { return "digestgate: " + contact }

// warning is the refusal of one image as a warning.
func warning(j checkedPlace, details Details) string {
	row := "digestgate: " + string(j.answer.Code) + ": " + j.path() + ": " + quote(j.image, 100) + ": "
	return gate.Printable(row+fit(j, details, maxWarning-len(row)), maxWarning)
}

// fit is the longest form of the text that fits into size bytes.
func fit(j checkedPlace, details Details, size int) string {
	for findings := topFindings; findings > 0; findings-- {
		if s := gate.Printable(sentence(j, details, findings), 4*maxMessage); len(s) <= size {
			return s
		}
	}
	return gate.Printable(sentence(j, details, 0), max(size, 0))
}

// topFindings is how many messages of one rule a refusal names at most.
const topFindings = 5

// sentence is the text of a refusal, with so many messages for each rule.
func sentence(j checkedPlace, details Details, findings int) string {
	a := j.answer
	var s string
	switch {
	case a.Code == gate.CodePolicy && slices.ContainsFunc(a.Reasons, denies):
		if details == DetailsRule {
			findings = 0
		}
		s = rules(a.Reasons, findings)
		if a.Platform != "" {
			s = "platform " + a.Platform + ": " + s
		}
	default:
		s = words(a.Code, a.Text)
	}
	return scrub(s)
}

// words are those of a text, and of the code's usual one if it says nothing.
func words(code gate.Code, text gate.Text) string {
	if text.IsZero() {
		text = refusal.Usual(code)
	}
	return refusal.English(text)
}

func denies(r gate.Reason) bool { return r.Action != gate.OutcomeWarn }

// rules lists the denying reasons by rule, in their order.
func rules(reasons []gate.Reason, findings int) string {
	var names []string
	msgs := map[string][]string{}
	for _, r := range reasons {
		if !denies(r) {
			continue
		}
		name := r.Rule
		if name == "" {
			name = "policy"
		}
		if _, ok := msgs[name]; !ok {
			names = append(names, name)
		}
		msgs[name] = append(msgs[name], r.Msg)
	}
	if findings == 0 {
		noun := "rule "
		if len(names) > 1 {
			noun = "rules "
		}
		return "refused by " + noun + strings.Join(names, ", ")
	}
	parts := make([]string, 0, len(names))
	for _, name := range names {
		list := msgs[name]
		more := ""
		if len(list) > findings {
			more = fmt.Sprintf(" and %d more", len(list)-findings)
			list = list[:findings]
		}
		parts = append(parts, name+": "+strings.Join(list, ", ")+more)
	}
	return strings.Join(parts, "; ")
}

// quote is a reference in quotation marks, without credentials and with its
// middle left out when it is long, because its end is what differs.
func quote(ref string, size int) string { return string(appendQuote(nil, ref, size)) }

// appendQuote appends what quote returns.
func appendQuote(b []byte, ref string, size int) []byte {
	ref = withoutUserinfo(ref)
	if len(ref) <= size {
		return gate.AppendQuoted(b, ref, size) // escapes can make it longer
	}
	var room [maxQuote]byte // on the stack
	short := append(append(append(room[:0], ref[:size/2]...), "..."...), ref[len(ref)-size/2+3:]...)
	return gate.AppendQuoted(b, string(short), size)
}

// maxQuote is the longest reference that a message has.
const maxQuote = 320

// withoutUserinfo hides what stands before an @ unless the rest is a digest:
// "user:password@host/app" is no valid reference, but people write it.
func withoutUserinfo(ref string) string {
	i := strings.LastIndexByte(ref, '@')
	if i < 0 {
		return ref
	}
	switch algorithm, _, _ := strings.Cut(ref[i+1:], ":"); algorithm {
	case "sha256", "sha384", "sha512", "md5":
		if strings.IndexByte(ref[:i], '@') < 0 {
			return ref
		}
		return withoutUserinfo(ref[:i]) + ref[i:]
	}
	return "***" + ref[i:]
}

// scrub takes credentials out of URLs in a text: what stands before an @ and
// after a question mark. Texts should hold neither; a registry's error that
// slips in might.
func scrub(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i+3])
		s = s[i+3:]
		end := strings.IndexAny(s, " \t\r\n\"'<>,;)")
		if end < 0 {
			end = len(s)
		}
		url := s[:end]
		if at := strings.LastIndexByte(url, '@'); at >= 0 {
			url = "***" + url[at:]
		}
		if q := strings.IndexAny(url, "?#"); q >= 0 {
			url = url[:q+1] + "***"
		}
		b.WriteString(url)
		s = s[end:]
	}
}
