// Package app is the wiring of a server: its configuration, the parts that a process is
// assembled from, its listeners, and what it does without being asked. Commands that do
// the work of one take their process from here.
package app
