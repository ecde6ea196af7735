package agree

import (
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Content is one state of the thing that processes agree on.
type Content struct {
	Digest gate.Digest
	// UpdatedAt is the time of the content itself, zero where it has none.
	UpdatedAt time.Time
	// Packed is the content when it is kept in the store with its number, see
	// [Pack]; nil when each process has it by itself.
	Packed []byte
	// Stays is a content that may stay in force, and is not put in force:
	// something is wrong with it that was not looked for before.
	Stays bool
}

// Kind is what one user of the package agrees on. It has no state.
type Kind struct {
	// Setting is the name of the setting, out of gate's table.
	Setting string
	// Format is the layout of what is stored. Another one is not read, and not
	// overwritten. 0 is a layout from before there were numbers.
	Format int
	// Wins decides about what a process has found while something else is in
	// force. Where nothing is in force, what is found first is put in force.
	Wins Rule
	// Alone says that no other process uses the store: what is found here is
	// in force, always.
	Alone bool
	// PutBack says that what the store has lost is put back as it was, by any
	// process that remembers it. Otherwise whose content it was activates it
	// again, under a new number.
	PutBack bool
	// File is where a process remembers, below its data directory: "" for
	// nowhere.
	File string
	// Words are for people.
	Words Words
}

// Words are how a kind is spoken of.
type Words struct {
	What     string // "policies": the policies in force
	Here     string // "the files here", where a process finds them
	Number   string // "activation", what a number is called
	InUse    string // "policies in force", what is remembered
	OtherWay string // what an operator can do instead of running another version: `put … in force with "…"`
	Messages Messages
}

// Messages are the constant texts of the log. Those of a kind that has none are
// general, and name the kind in the attribute "what".
type Messages struct {
	Activated string // something was put in force from here
	Differs   string // what is here is not what is in force
	PutBack   string
	Forgotten string // it cannot be remembered for the next start
	NotLoaded string // what is in force does not load here
	Unknown   string // it is not known what is in force
}

func generalMessages() Messages {
	return Messages{
		Activated: "put in force", Differs: "what is here is not what is in force",
		PutBack:   "the store had lost what is in force, it was put back",
		Forgotten: "what is in force is not remembered for the next start",
		NotLoaded: "what is in force does not load, the former stays in use here",
		Unknown:   "it is not known what is in force, the former stays in use here",
	}
}

// Rule decides whether content that a process has found replaces what is in
// force, by what the process remembers. It is never asked about equal contents.
type Rule func(m Memory, found Content, active Activation) bool

// ByHistory is the rule for contents without an order: only a change on this side
// replaces what is in force, and only one that is not behind others. What never was in
// force is new. What was, after our last content, reaches us late, and others have
// newer content; so does what a process finds that remembers nothing. What was in force
// before our last content is a way back.
func ByHistory(m Memory, found Content, active Activation) bool {
	if found.Digest == m.Content {
		return false // nothing changed here
	}
	last := active.Last(found.Digest)
	return last == 0 || last < m.Since
}

// ByTime is the rule for contents that have a time: forwards, what is newer than what
// is in force; backwards, what is older than what this process had before, which the
// operator wants. A process that remembers nothing only goes forwards.
func ByTime(m Memory, found Content, active Activation) bool {
	switch {
	case m.Content == "":
		return found.UpdatedAt.After(active.UpdatedAt)
	case found.Digest == m.Content:
		// Nothing changed here. A number below the one that it had means that
		// the store has lost the activation.
		return active.Number < m.Number
	case found.UpdatedAt.After(m.UpdatedAt):
		return found.UpdatedAt.After(active.UpdatedAt) // others may be further
	}
	return true
}

// wins is the rule with what goes for every kind. ok is false when nothing is in
// force.
func (k Kind) wins(m Memory, found Content, active Activation, ok bool) bool {
	switch {
	case !ok:
		return true
	case found.Digest == active.Content:
		return false
	}
	return k.Alone || k.Wins(m, found, active)
}
