// Package demo is the command that plays the whole way of an image, offline, and checks
// every verdict.
package demo
