package gate

import (
	"errors"
	"fmt"
	"strings"
)

// worded is what a person is told who wants something that cannot be: the class of the
// error is for programs.
type worded struct {
	text  string
	class error
}

func (w *worded) Error() string { return w.text }
func (w *worded) Unwrap() error { return w.class }

// Refuse is an error of a class that reads as the text alone.
func Refuse(class error, format string, args ...any) error {
	return &worded{fmt.Sprintf(format, args...), class}
}

// Sentence is the text of an error for a person: without the names of the classes
// ErrInvalid, ErrConflict and ErrTooLarge at its end, which are for programs and say nothing that the
// sentence before them has not said.
func Sentence(err error) string {
	text := err.Error()
	for _, class := range []error{ErrInvalid, ErrConflict, ErrTooLarge, ErrInvalid} {
		if !errors.Is(err, class) {
			continue
		}
		for _, between := range []string{": ", "\n"} {
			if rest := strings.TrimSuffix(text, between+class.Error()); rest != "" {
				text = rest
			}
		}
	}
	return text
}
