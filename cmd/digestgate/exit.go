package main

import (
	"errors"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// The exit codes of every command (DESIGN.md §9).
const (
	exitAllow     = 0 // also: done
	exitFailure   = 1
	exitDeny      = 2
	exitNoVerdict = 3
)

// exitError ends the program with a code. Text may be empty: then the command
// has said all there is to say and nothing more is printed.
type exitError struct {
	code int
	text string
	// reason is the class of what ended a job, as its metrics name it; "" where no
	// job did.
	reason string
}

func (e exitError) Error() string { return e.text }

// exitCode is the code for the error of a command: 0 for none, what an
// exitError asks for, 1 for everything else.
func exitCode(err error) int {
	var exit exitError
	switch {
	case err == nil:
		return exitAllow
	case errors.As(err, &exit):
		return exit.code
	}
	return exitFailure
}

// inWords is the text of an error for a person: without the names of error classes,
// which are for programs and say nothing beside a cause.
func inWords(err error) string {
	text := err.Error()
	for _, class := range []error{gate.ErrInvalid, gate.ErrReviewInvalid, gate.ErrResource} {
		for _, before := range []string{": ", "\n"} {
			text = strings.ReplaceAll(text, before+class.Error(), "")
		}
	}
	return text
}
