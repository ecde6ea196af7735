package listener

import "net/http"

// HTTP2 bounds what one connection of HTTP/2 may hold: streams at a time, and the bytes
// that it has sent and no handler has read. The library would take 1 MiB of frames and
// 1 MiB of bodies from each connection.
func HTTP2(streams int) *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: streams,
		MaxReadFrameSize:     16 << 10, // the least that RFC 9113 allows
		// A body of 20 KiB needs no window at all beyond the first; one of 7 MiB
		// over 10 ms of network takes a third of a second.
		MaxReceiveBufferPerConnection: 512 << 10,
		MaxReceiveBufferPerStream:     256 << 10,
	}
}
