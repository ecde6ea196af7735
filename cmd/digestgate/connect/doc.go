// Package connect is how commands reach a server over TLS, and what they say when they
// do not.
package connect
