package admission

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// Outcome is what a review came to before the mode applied. The set is closed;
// metrics use it as a label.
type Outcome string

// The outcomes.
const (
	OutcomeAllow     Outcome = "allow"
	OutcomeWarn      Outcome = "warn" // admitted in every mode, with warnings
	OutcomeDeny      Outcome = "deny" // refused where the mode is enforce
	OutcomeExempt    Outcome = "exempt"
	OutcomeSkipped   Outcome = "skipped"   // brings in no image: a deletion, a scale
	OutcomeUnchanged Outcome = "unchanged" // an update that leaves every image
	OutcomeMirror    Outcome = "mirror"    // a mirror Pod of a node's static Pod
)

// Image is what was found about one image of an object.
type Image struct {
	Path      string       // for example spec.containers[0].image
	Reference string       // as written, printable, without credentials
	Digest    gate.Digest  // "" when it is not known
	Outcome   gate.Outcome // allow, warn, deny or none
	Code      gate.Code
	Text      string // printable, "" when the image is admitted
}

// Response is the answer to a review. All its text is printable ASCII.
type Response struct {
	Cluster  string
	Mode     Mode
	Outcome  Outcome
	Allowed  bool
	Code     gate.Code // of the first refused image, or of the whole review
	Message  string    // the refusal, also when the mode admits the object
	Warnings []string
	Images   []Image

	uid       string // JSON token
	status    int
	retry     int // seconds after which a client may come again; 0: it need not
	requestID string
	digests   string
	contact   string
}

// conclude turns a conclusion into the response that the mode asks for. This is
// the only place where a review becomes allowed: by a pass, or because every
// place has an answer that permits or is lenient.
func (r *Response) conclude(v *conclusion, c Config) {
	details := c.Details
	r.contact = c.Contact
	r.Images = images(v.checked, details)
	r.digests = digests(r.Images)
	var refused, lenient []checkedPlace
	for _, j := range v.checked {
		switch {
		case j.answer.Permits():
		case j.kept:
			// What could not be looked up within the small budget is not
			// worth a warning.
			if j.answer.Code != gate.CodeTimeout {
				lenient = append(lenient, j)
			}
		case v.template && j.blank():
			j.answer.Text = refusal.Say(refusal.TemplateBlank, nil)
			lenient = append(lenient, j)
		case v.template && !rowOf(j.answer.Code).template:
			lenient = append(lenient, j)
		default:
			refused = append(refused, j)
		}
	}
	r.Outcome = OutcomeAllow
	switch {
	case v.pass == passUnchanged, v.pass == passMirror:
		r.Outcome = Outcome(v.pass)
	case v.err != nil:
		r.refuseAll(v.err, v.template)
	case len(refused) > 0:
		r.refuse(refused, details)
	case v.pass != "":
		r.Outcome = Outcome(v.pass)
	case len(v.checked) == 0:
		r.refuseAll(errors.New("a review without answers and without error"), false)
	case len(lenient) > 0:
		r.Outcome, r.Code = OutcomeWarn, lenient[0].answer.Code
		r.Message = message(lenient, details, r.contact)
	case len(v.notes) > 0, slices.ContainsFunc(v.checked, func(j checkedPlace) bool { return j.answer.Outcome == gate.OutcomeWarn }):
		r.Outcome = OutcomeWarn
	}
	r.Allowed = r.Outcome != OutcomeDeny || r.Mode != ModeEnforce
	if r.Mode != ModeAudit {
		r.warnings(v, refused, lenient, details)
	}
}

// warnings says what was admitted all the same.
func (r *Response) warnings(v *conclusion, refused, lenient []checkedPlace, details Details) {
	told := len(r.Warnings) > 0 // of a refusal
	for _, note := range v.notes {
		r.warn(note)
	}
	notes := len(r.Warnings)
	if r.Outcome == OutcomeDeny && r.Mode == ModeWarn {
		if len(refused) == 0 {
			r.warn(r.withoutContact())
		}
		for _, j := range refused {
			r.warn(warning(j, details))
		}
	}
	for _, j := range lenient {
		r.warn(warning(j, details))
	}
	told = told || len(r.Warnings) > notes
	for _, j := range v.checked {
		r.warnReasons(j, details)
	}
	if r.contact != "" && told {
		r.Warnings = append(r.Warnings, contactWarning(r.contact))
	}
}

// refuse is the refusal because of images.
func (r *Response) refuse(refused []checkedPlace, details Details) {
	r.Outcome, r.Code = OutcomeDeny, refused[0].answer.Code
	r.status, r.retry = rowOf(r.Code).status, retryAfter(r.Code)
	if r.Code == gate.CodeInternal {
		r.requestID = requestID()
		refused[0].answer.Text = internalText(r.requestID)
	}
	r.Message = message(refused, details, r.contact)
}

// refuseAll is the refusal of the whole review. A template is admitted with a
// warning where its images would be.
func (r *Response) refuseAll(err error, template bool) {
	r.Code = gate.CodeOf(err)
	row := rowOf(r.Code)
	r.Outcome, r.status, r.retry = OutcomeDeny, row.status, retryAfter(r.Code)
	if template && !row.template {
		r.Outcome = OutcomeWarn
	}
	text := refusal.Usual(r.Code)
	switch r.Code {
	case gate.CodeInternal:
		r.requestID = requestID()
		text = internalText(r.requestID)
	case gate.CodeObjectUnsupported, gate.CodeReviewInvalid, gate.CodeTooLarge:
		// These errors are ours, about the caller's own input, and written
		// for whoever sent it.
		text = refusal.Say(refusal.Detail, refusal.P{"text": ownText(err)})
	}
	room := maxMessage - len(withContact("", r.contact))
	r.Message = withContact(gate.Printable("digestgate: "+string(r.Code)+": "+scrub(refusal.English(text)), room), r.contact)
	if r.Outcome == OutcomeWarn && r.Mode != ModeAudit {
		r.warn(r.withoutContact())
	}
}

// withoutContact is the message for a warning: the operators' line is a warning of
// its own.
func (r *Response) withoutContact() string {
	return strings.TrimSuffix(r.Message, withContact("", r.contact))
}

func internalText(id string) gate.Text {
	return refusal.Say(refusal.InternalRequest, refusal.P{"id": id})
}

// ownText is an error without the sentinel at its end.
func ownText(err error) string {
	class, _ := gate.Classify(err)
	return strings.TrimSuffix(err.Error(), ": "+class.Err.Error())
}

// warnReasons adds what an answer says whatever its outcome.
func (r *Response) warnReasons(j checkedPlace, details Details) {
	if len(j.answer.Warnings) == 0 {
		return
	}
	row := "digestgate: " + j.path() + ": " + quote(j.image, 100) + ": "
	for _, w := range j.answer.Warnings {
		// Images have dozens of warnings, and an answer has room for some.
		if n := len(r.Warnings); n > 0 && r.Warnings[n-1] == moreWarnings {
			return
		}
		if details == DetailsRule {
			w, _, _ = strings.Cut(w, ": ")
		}
		r.warn(gate.Printable(row+scrub(w), maxWarning))
	}
}

// warn adds a warning within the limits; what does not fit is counted in the
// last one. Room for the operators' line is kept.
func (r *Response) warn(w string) {
	total := len(contactWarning(r.contact))
	for _, other := range r.Warnings {
		if other == w {
			return
		}
		total += len(other)
	}
	switch {
	case total+len(w)+len(moreWarnings) <= maxWarnings:
		r.Warnings = append(r.Warnings, gate.Printable(w, maxWarning))
	case r.Warnings[len(r.Warnings)-1] != moreWarnings:
		r.Warnings = append(r.Warnings, moreWarnings)
	}
}

// moreWarnings is the last warning when not all have room.
const moreWarnings = "digestgate: there are more warnings"

func images(checked []checkedPlace, details Details) []Image {
	list := make([]Image, len(checked))
	for i := range checked {
		j := &checked[i]
		list[i] = Image{Path: j.path(), Reference: j.image, Digest: j.answer.Digest, Outcome: j.answer.Outcome, Code: j.answer.Code}
		if !j.answer.Permits() { // what is admitted was parsed, and is printable
			list[i].Reference = gate.Printable(withoutUserinfo(j.image), 320)
			list[i].Text = fit(*j, details, maxMessage)
		}
	}
	return list
}

// digests names the digests that were judged, in order and without
// repetitions.
func digests(list []Image) string {
	var b strings.Builder
	b.Grow(min(len(list)*(len("sha256:")+65), maxDigests))
	for i := range list {
		image := &list[i]
		if image.Digest == "" || b.Len() > maxDigests || hasDigest(list[:i], image.Digest) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(image.Digest))
	}
	return b.String()
}

func hasDigest(list []Image, digest gate.Digest) bool {
	for i := range list {
		if list[i].Digest == digest {
			return true
		}
	}
	return false
}

// maxDigests bounds the digests in a log line and an audit entry, in bytes:
// those of about 27 images.
const maxDigests = 2000

// JSON is the AdmissionReview to send.
func (r *Response) JSON() []byte {
	size := 400 + len(r.uid) + 2*len(r.Message) + len(r.digests)
	for _, w := range r.Warnings {
		size += len(w) + 3
	}
	b := make([]byte, 0, size)
	b = append(b, `{"kind":"AdmissionReview","apiVersion":"`+apiVersion+`","response":{"uid":`...)
	b = append(b, r.uid...)
	b = append(b, `,"allowed":`...)
	b = strconv.AppendBool(b, r.Allowed)
	if !r.Allowed {
		b = append(b, `,"status":{"metadata":{},"status":"Failure","message":`...)
		b = appendString(b, r.Message)
		b = append(b, `,"reason":`...)
		b = appendString(b, string(r.Code))
		if r.retry > 0 {
			b = fmt.Appendf(b, `,"details":{"retryAfterSeconds":%d}`, r.retry)
		}
		b = fmt.Appendf(b, `,"code":%d}`, r.status)
	}
	// The API server prefixes each key with the name of the webhook.
	b = append(b, `,"auditAnnotations":{"outcome":`...)
	b = appendString(b, string(r.Outcome))
	for _, entry := range [...]struct{ key, value string }{
		{"code", string(r.Code)}, {"message", r.Message}, {"digests", r.digests},
	} {
		if entry.value != "" {
			b = append(b, `,"`+entry.key+`":`...)
			b = appendString(b, entry.value)
		}
	}
	b = append(b, '}')
	for i, w := range r.Warnings {
		if i == 0 {
			b = append(b, `,"warnings":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, w)
	}
	if len(r.Warnings) > 0 {
		b = append(b, ']')
	}
	return append(b, "}}"...)
}

// appendString writes a JSON string. For printable ASCII, and all our text is,
// Go's quoting is JSON's.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return strconv.AppendQuoteToASCII(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
