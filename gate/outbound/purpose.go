package outbound

import (
	"fmt"
	"net/netip"
)

// Purpose is what a connection is for. The configuration names hosts for each, and a host
// that is named for one purpose is nothing special to another.
type Purpose string

// The purposes.
const (
	Registry Purpose = "registry"
	Mirror   Purpose = "mirror" // of advisory data
	Feed     Purpose = "feed"
	Issuer   Purpose = "issuer" // of tokens, and their keys
	Mail     Purpose = "mail"
	Bundle   Purpose = "bundle" // of policies
	Hook     Purpose = "hook"   // of a chat, or a webhook of others
	Clamd    Purpose = "clamd"
	Peer     Purpose = "peer"    // another process on the same store
	Cluster  Purpose = "cluster" // the API server of the cluster in which the process runs
)

// named says where the configuration names hosts for the purpose.
func (p Purpose) named() string {
	switch p {
	case Registry:
		return "host, aliases, tokenHosts or blobHosts of the registry"
	case Mirror:
		return "advisories.repositories, or tokenHosts or blobHosts of an entry of registries with the mirror's host"
	case Feed:
		return "feed or sha256 of an entry of advisories.sources"
	case Issuer:
		return "webhook.issuer"
	case Bundle:
		return "policy.bundles"
	case Hook, Mail:
		return "notifications"
	case Clamd:
		return "scan.malware.clamd"
	case Cluster:
		return "kubernetes.server"
	}
	return "the configuration file"
}

// BlockedError says that a [Guard] refused to connect, and what to do about it.
type BlockedError struct {
	target    string // host:port that was asked for
	purpose   Purpose
	ip        netip.Addr
	what      string
	reach     reach
	atRunTime bool
}

func (e *BlockedError) Error() string {
	return fmt.Sprintf("refusing to connect to %q: it leads to the %s address %s; %s", e.target, e.what, e.ip, e.advice())
}

func (e *BlockedError) advice() string {
	switch {
	case e.reach == reachNever:
		return "digestgate never connects to such an address"
	case e.atRunTime && e.reach == reachLocal:
		return "such an address is only used when outbound.allow names it itself"
	case e.atRunTime:
		return "outbound.allow must name the host, or its network, if it is to be reached"
	case e.reach == reachLocal:
		return "such an address is only used when it is itself written in " + e.purpose.named()
	}
	return "write the host in " + e.purpose.named() + " if it belongs there"
}
