// Package notify tells people and programs what became different: verdicts that flipped,
// findings that are new or fixed, a quota near its end, data that is out of date.
//
// A target is told by messages that each gather what happened within a time
// (its gathering time), the worst first, with totals: never by one message per finding. Where
// the changes come from is a [Source], which is durable; how far a target
// has been notified of it, and what waits for it, is one setting of the store for each
// target, written by compare-and-set. A process that dies repeats at most a message, under the same
// [Message.ID], and loses none. One process sends at a time; each target has a goroutine
// of its own, so that a dead one delays no other.
//
// Each kind of target is a [Vendor], in a package of its own below this one; all of them
// are in one table in cmd. Texts of images (names of repositories and packages) are
// hostile: they are escaped for the target before a template sees them; see package text.
//
// Addresses of chats are secrets. Nothing here shows more of one than its host.
package notify
