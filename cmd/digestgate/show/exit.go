package show

import (
	"errors"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// The exit codes of every command (DESIGN.md §9).
const (
	ExitAllow     = 0 // also: done
	ExitFailure   = 1
	ExitDeny      = 2
	ExitNoVerdict = 3
)

// ExitError ends the program with a code. Text may be empty: then the command
// has said all there is to say and nothing more is printed.
type ExitError struct {
	Code int
	Text string
	// Reason is the class of what ended a job, as its metrics name it; "" where no
	// job did.
	Reason string
}

func (e ExitError) Error() string { return e.Text }

// ExitCode is the code for the error of a command: 0 for none, what an
// exitError asks for, 1 for everything else.
func ExitCode(err error) int {
	var exit ExitError
	switch {
	case err == nil:
		return ExitAllow
	case errors.As(err, &exit):
		return exit.Code
	}
	return ExitFailure
}

// InWords is the text of an error for a person: without the names of error classes,
// which are for programs and say nothing beside a cause.
func InWords(err error) string {
	text := err.Error()
	for _, class := range []error{gate.ErrInvalid, gate.ErrReviewInvalid, gate.ErrResource} {
		for _, before := range []string{": ", "\n"} {
			text = strings.ReplaceAll(text, before+class.Error(), "")
		}
	}
	return text
}
