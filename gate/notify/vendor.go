package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate/notify/text"
)

// Vendor is one kind of target: what it is called, how texts are written for it, how
// much it takes, and how a message reaches it. It has no state.
type Vendor struct {
	// Type is its name in the configuration.
	Type string
	// Markup is how values are escaped for it.
	Markup text.Markup
	// Template is the shipped template; "" where the body is [Message] as JSON.
	Template string
	// Limit is how many bytes its rendered text may have.
	Limit int
	// Every is the shortest time between two messages, by the vendor's rate limit; 0: none.
	Every time.Duration
	// Mail: it is reached by SMTP, and not by a POST to an address.
	Mail bool
	// TakesSecret: messages are signed with a secret.
	TakesSecret bool
	// Open makes what sends to one target. gate.ErrInvalid: an address or a secret is not
	// one of the vendor's; the text never has it.
	Open func(Access) (Sender, error)
}

// Sender sends to one target. It is safe for concurrent use.
type Sender interface {
	// Send sends one message and waits for the answer, as long as ctx lets it. A nil error
	// says that the target has taken it. [*Failure] says what happened and what to do
	// about it; any other error is a try that can be repeated.
	Send(ctx context.Context, l Letter) (Answer, error)
	// Address is the "host:port" that it sends to, which may be shown.
	Address() string
	// Close lets go of connections.
	Close()
}

// Letter is a message, ready to be sent.
type Letter struct {
	ID    string
	At    time.Time // of the try
	Title string    // escaped for the vendor, one line
	Text  string    // what the template made of it; for a webhook, its JSON
	Bad   bool      // something is wrong: a verdict flipped to deny, new findings
}

// Answer is what is shown of an answer: never a body, which may be of something inside
// the network.
type Answer struct {
	Status int // of HTTP, or the reply code of SMTP; 0 when there was none
}

// Failure is a try that failed.
type Failure struct {
	Reason string // for people: no address, no body
	// Final: this message will not be taken, whenever it is tried.
	Final bool
	// After: not to be tried again before; 0 when the target did not say.
	After time.Duration
	cause error
}

// NewFailure makes a failure of a cause, which is not shown.
func NewFailure(cause error, final bool, after time.Duration, format string, args ...any) *Failure {
	return &Failure{Reason: fmt.Sprintf(format, args...), Final: final, After: after, cause: cause}
}

func (f *Failure) Error() string { return f.Reason }

// Unwrap is the cause.
func (f *Failure) Unwrap() error { return f.cause }

// failureOf makes a failure of any error.
func failureOf(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Reason: "the message could not be sent", cause: err}
}

// ListTemplate is the shipped template of chats and mail.
const ListTemplate = `{{.Title}}
{{range .Items}}
- {{.Line}}{{end}}
{{if .More}}
… and {{.More}} more, see the list of images.
{{end}}{{if .Missed}}
Changes before this message are not in it: they were not read in time.
{{end}}{{if .Dropped}}
{{.Dropped}} messages before this one were given up, because they could not be delivered.
{{end}}{{if .Link}}
{{.Link}}
{{end}}`
