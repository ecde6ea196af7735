package analyzer_test

import (
	"encoding/json"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

const debianRelease = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n"

const dpkgStatus = `Package: libc6
Status: install ok installed
Priority: optional
Section: libs
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u4
Description: GNU C Library

Package: openssl
Status: install ok installed
Maintainer: Debian OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>
Architecture: amd64
Version: 3.0.11-1~deb12u1
Description: Secure Sockets Layer toolkit

`

func debianLayer(t testing.TB) layer {
	return tarLayer(t,
		file("etc/os-release", debianRelease),
		file("etc/debian_version", "12.4\n"),
		file("var/lib/dpkg/status", dpkgStatus),
	)
}

func TestRealDebian(t *testing.T) {
	src := &source{}
	d := src.add([]layer{debianLayer(t)}, nil)
	a := withRealChild(t, src, nil)
	inv := analyze(t, a, d)
	b, _ := json.MarshalIndent(inv, "", " ")
	t.Logf("%s", b)
	if inv.OS != (gate.OS{Family: "debian", Name: "12.4"}) || len(inv.Packages) != 2 || !inv.PackageDatabase || !inv.DistributionFiles {
		t.Errorf("got %+v", inv)
	}
}
