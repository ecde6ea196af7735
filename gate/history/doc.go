// Package history is what changed on digests and when: it reads entries in the order of the
// change feed, for those who report them; every package may import it.
//
// The entries are written by the store, in the same step as the findings and verdicts that
// they describe (see gate.HistoryEntry); nothing here writes one.
package history
