package admission

import (
	"errors"
	"slices"
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
	said      strings.Builder // the text of warnings
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
	for i := range v.checked {
		r.warnReasons(&v.checked[i], details)
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

func images(checked []checkedPlace, details Details) []Image {
	if len(checked) == 0 {
		return nil
	}
	list := make([]Image, len(checked))
	size := 0
	for i := range checked {
		size += checked[i].pathRoom()
	}
	var paths strings.Builder // the text of all of them
	paths.Grow(size)
	for i := range checked {
		j := &checked[i]
		var room [64]byte
		from := paths.Len()
		paths.Write(j.appendPath(room[:0]))
		list[i] = Image{Path: paths.String()[from:], Reference: j.image, Digest: j.answer.Digest, Outcome: j.answer.Outcome, Code: j.answer.Code}
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
