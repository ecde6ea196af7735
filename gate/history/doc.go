// Package history is what changed on digests and when: it reads entries in the order of the
// change feed, for those who tell of them; every package may import it.
//
// The entries are written by the store, in the same step as the findings and verdicts that
// they tell of (see gate.HistoryEntry); nothing here writes one.
package history
