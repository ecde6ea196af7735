// Package listener bounds what callers hold of a server before anything is
// known of them: [Connections] bounds connections, [Bodies] the bodies that are
// arriving, [Thinner] the log lines about what was refused, [HTTP2] the streams
// and buffers of a connection.
//
// All of them follow one rule: what waits makes room for what arrives. A flood
// of connections that say nothing, or never stop asking, or of bodies that never
// end, loses its places to the next caller instead of shutting it out, and a
// connection has a few places that no other can take. The more a connection sends
// without a request being served, the more slowly it is read. None of this depends
// on addresses, behind which there may be a proxy or a whole cluster.
//
// The package knows no path, no secret and no format. Everything in it is safe
// for concurrent use.
package listener
