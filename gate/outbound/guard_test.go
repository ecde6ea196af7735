package outbound

import (
	"net/netip"
	"testing"
)

func TestReachOfAddresses(t *testing.T) { // N07
	tests := map[string]reach{
		"8.8.8.8": reachPublic, "2606:4700::1111": reachPublic, "172.32.0.1": reachPublic, "100.128.0.1": reachPublic, "11.0.0.1": reachPublic,
		"10.0.0.1": reachPrivate, "172.16.0.1": reachPrivate, "172.31.255.255": reachPrivate, "192.168.1.1": reachPrivate,
		"100.64.0.1": reachPrivate, "100.127.255.255": reachPrivate, "fd12::1": reachPrivate, "198.18.0.1": reachPrivate,
		"127.0.0.1": reachLocal, "127.255.255.255": reachLocal, "::1": reachLocal, "0.0.0.0": reachLocal, "0.1.2.3": reachLocal, "::": reachLocal,
		"169.254.1.1": reachNever, "fe80::1": reachNever, "224.0.0.1": reachLocal, "ff02::1": reachLocal, "255.255.255.255": reachLocal,
		"169.254.169.254": reachNever, "169.254.170.2": reachNever, "100.100.100.200": reachNever, "168.63.129.16": reachNever, "fd00:ec2::254": reachNever, "fd20:ce::254": reachNever,
		"::ffff:127.0.0.1": reachLocal, "::ffff:169.254.169.254": reachNever, "::ffff:10.0.0.1": reachPrivate, "::ffff:8.8.8.8": reachPublic, // CVE-2024-24790
		"::127.0.0.1": reachLocal, "64:ff9b::a9fe:a9fe": reachNever, "64:ff9b::808:808": reachPublic, "64:ff9b::a00:1": reachPrivate, "2002:7f00:1::": reachLocal, "2002:808:808::": reachPublic,
		"fe80::1%eth0": reachNever, "::1%lo": reachLocal,
	}
	for s, want := range tests {
		if got, what := reachOf(netip.MustParseAddr(s)); got != want {
			t.Errorf("reachOf(%s): got %d (%s), want %d", s, got, what, want)
		}
	}
}
