// Package match compares inventories with advisory data, using Trivy's
// detectors: the step "findings = match(inventory, generation, matcher)". It
// pulls nothing, opens no connection and charges nothing.
//
// Trivy's detectors read one database through a package variable of trivy-db.
// A match therefore holds a lock for reading while it uses the detectors, and a
// swap of generations takes it for writing. A match works in small steps and
// looks between them whether a swap waits, so that neither a huge inventory nor
// a swap keeps the others waiting for longer than a step; a match that was
// interrupted by newer data begins again with it. Findings are always computed
// from one generation alone.
//
// What the data cannot judge is said, because silence would read as clean: a
// release without advisories makes Findings.Unassessable, a package that no
// source covers or whose version cannot be compared is one of Findings.Gaps.
//
// # Logging
//
// Importing Trivy's packages replaces slog.Default by a handler that keeps every
// record for ever and is not safe for concurrent use, and Trivy writes several
// lines for every match there. A program that links this package makes its first
// statement
//
//	slog.SetDefault(slog.New(match.DependencyLog(handler)))
//
// where handler is that of its own logger. [New] does so with the logger that it
// is given if the program has not.
package match
