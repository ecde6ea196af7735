// Package certificate keeps the certificate that a listener serves: from files, which it
// follows, or one that it makes and renews itself under an authority of its own. It also
// holds the authorities of clients, where a listener demands certificates of them.
//
// It does not serve: a listener takes [Certificate.TLSConfig].
//
// A [Certificate] is safe for concurrent use, but for [Certificate.Refresh] and
// [Certificate.Run], of which one at a time may run.
package certificate
