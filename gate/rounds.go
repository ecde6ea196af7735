package gate

import (
	"context"
	"time"
)

// Rounds answer for the references of one review together: what they need is read
// once for all of them, never for each. A caller alternates the two methods. Read
// reads what the references without an answer need next; then Decide is asked for
// each of them, and those for which it has no answer yet are asked again after the
// next Read. A lookup that asks registries needs several rounds, at most
// [MaxRounds].
type Rounds interface {
	// Read reads ahead. It is called by one goroutine, while nothing else is asked.
	// What cannot be read is read by Decide for its reference alone, so that an error
	// concerns nobody else.
	Read(ctx context.Context)
	// Decide answers for one reference of the review, as a single question would be
	// answered. ok is false when another round is needed. It may be called from
	// several goroutines, for different references at a time.
	Decide(ctx context.Context, ref Reference, req Request) (a Answer, ok bool)
}

// MaxRounds is how many rounds one review may take: three times a tag is asked for,
// because it is pushed meanwhile, and its manifest is read, each time in a round; the
// last one tells what came of it. One more is a bug.
const MaxRounds = 7

// Prompt are Rounds of which some references need nothing but what is in the memory of
// this process. Their answers are given by the goroutine of the review itself.
//
// Where a shared store has to say first whether what is in memory is still what it holds,
// they are [Proving].
type Prompt interface {
	Rounds
	// AtOnce answers for one reference as Decide would, if the answer is at hand. ok is
	// false when anything had to be read, waited for, evaluated or queued for it; then
	// nothing has happened, and the reference is asked for by Read and Decide. It takes
	// no lock that is held over a read or a write of a store, because nothing ends a
	// review that is held up here. It is called by one goroutine before the first Read.
	AtOnce(ctx context.Context, ref Reference, req Request) (a Answer, ok bool)
}

// Proving are Prompt rounds that may have to ask their store first.
type Proving interface {
	Prompt
	// Prove asks the store in one call whether what is in memory of all references is
	// still what it holds, so that AtOnce answers from it, and waits for that until a time
	// at the latest. It is called once, before AtOnce, by the goroutine of the review.
	// After a failure nothing is at hand; the failure is for Read to tell.
	Prove(ctx context.Context, until time.Time)
}
