// Package joined keeps the tables that are joined to findings when policies are evaluated:
// EPSS, CISA's known exploited vulnerabilities, ends of life and VEX statements. It reads
// them from files and URLs, agrees with all processes on the store which content is in
// force, and gives it to policies as one value that never changes ([Tables]).
//
// Content that cannot be read, has shrunk by more than a fifth, or is older than what is
// in force, is refused: what is in force stays, with the reason in the status, the log and
// the metrics. A [Set] is safe for concurrent use.
package joined
