package redistest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are chosen below 32768, where Linux takes those of outgoing connections and of
// listeners on port 0 from, so that no program takes the port of a server while it is
// down; and so that port + busOffset, where a member of a cluster listens as well, is
// below too.
const (
	firstPort = 10000
	endPort   = 22768
	busOffset = 10000
)

// errPortTaken is that somebody else listens on the port of a server.
var errPortTaken = errors.New("port is taken")

// freePort finds a port that is free now; whoever uses it must be ready to
// find it taken.
func freePort() (int, error) {
	// Of the 12768 ports at most some hundreds are ever in use.
	for range 100 {
		port := firstPort + rand.IntN(endPort-firstPort)
		if free(port) && free(port+busOffset) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("looking for a port from %d to %d: %w", firstPort, endPort-1, errPortTaken)
}

func free(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	return err == nil && l.Close() == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
