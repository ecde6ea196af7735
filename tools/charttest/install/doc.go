// Package install installs the chart into a real API server, with the real program behind its
// Service, and plays what could lock a cluster out: a cold start without the gate and its
// store, an upgrade, a rotation of certificates under load, the drain of a node.
//
// It needs the programs of examples/cluster (make bin there) and digestgate itself, which
// DIGESTGATE_BIN names. There is no kubelet: the test starts the program with the
// configuration that the chart rendered, on an address of the machine that is not loopback,
// and writes the endpoints of the Service.
package install
