// Package show is how commands print what they have come to, and the exit codes that
// they end with.
package show
