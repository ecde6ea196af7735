// Package scantask scans many images: a scan task goes over the images of a scope, by the
// rate, the concurrency and the window that it was given, until it has seen each once, or
// is paused or cancelled. The runs of schedules and the scans of a scope that the API is
// asked for are the same tasks.
//
// All tasks are in one setting of the store, so that every process sees them. Any process
// with the role scheduler runs them, each task one at a time, by a lease; a process that
// dies is replaced within [lease], and the task continues where it was.
//
// An image is done when it was matched and evaluated, or when its analysis ended;
// failed when that did not succeed; skipped when there is nothing to do: match finds no
// inventory, content finds no registry that is configured and has it, its job waits for
// quota, or a person has cancelled its first scan. Nothing is done twice: what a task has
// begun and what it has passed are written down together, an analysis that was begun is
// found again by its job and the time of the inventory, and a match that is repeated after
// a crash changes nothing.
//
// It does not know how an image is matched or analysed, and it decides nothing about one.
package scantask
