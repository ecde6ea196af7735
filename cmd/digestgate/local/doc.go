// Package local is the commands that need no server: they read files, a store or a
// registry themselves.
package local
