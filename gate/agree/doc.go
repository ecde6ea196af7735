// Package agree is how all processes on one store agree on what is in force: the
// policies, the advisory data, and whatever else has a content that changes
// while they run.
//
// What is in force is an [Activation]: a content, by its digest, under a number
// that only ever grows. It is the value of one setting of the store, and is
// changed by compare-and-set. A content that is small is kept with it
// ([Content.Packed]); a large one each process has by itself, and the digest
// says whether it is the same.
//
// A user of the package says what its contents are and which change of them
// wins, in a [Kind]; [ByHistory] and [ByTime] are ready rules. Everything else is
// the same for all:
//
//   - a [Member] is one process. It looks at what it has found (in its files, or
//     wherever) and at what is in force, puts the former in force when the rule
//     says so, remembers in its data directory what it saw, and knows by that
//     what is a change and what merely is old;
//   - what the store has lost is put back, or activated again under a new number;
//   - a setting that this version cannot read is gate.ErrStoreUnavailable,
//     [IsUnreadable] recognises it, and nothing overwrites it;
//   - a member that observes changes nothing;
//   - [Live] keeps what is in force loaded in memory, and follows it.
//
// agreetest.Run is the conformance suite: each user runs it with its kind. The
// decision is docs/adr/0017-what-is-in-force.md.
package agree
