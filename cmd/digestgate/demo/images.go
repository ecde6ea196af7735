package demo

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// OSRelease is /etc/os-release of the demo's file systems, which are those of Debian 12
// as far as a scanner looks at them: that file and the package database, with real
// versions.
const OSRelease = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
`

// Packages as binary name, source name and version: as Debian 12 was released,
// and after its security updates.
var (
	Released = [][3]string{
		{"base-files", "base-files", "12.4+deb12u1"}, {"libc6", "glibc", "2.36-9+deb12u14"}, {"tar", "tar", "1.34+dfsg-1.2"},
		{"libexpat1", "expat", "2.5.0-1"}, {"curl", "curl", "7.88.1-10+deb12u8"}, {"perl-base", "perl", "5.36.0-7"},
	}
	Updated = [][3]string{
		{"base-files", "base-files", "12.4+deb12u11"}, {"libc6", "glibc", "2.36-9+deb12u14"}, {"tar", "tar", "1.34+dfsg-1.2+deb12u1"},
		{"libexpat1", "expat", "2.5.0-1+deb12u2"}, {"curl", "curl", "7.88.1-10+deb12u14"}, {"perl-base", "perl", "5.36.0-7+deb12u3"},
	}
)

func Root(packages [][3]string, arch string) []byte {
	var status strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nPriority: required\nSection: libs\nInstalled-Size: 1024\n"+
			"Maintainer: Debian <debian@example.org>\nArchitecture: %s\nSource: %s\nVersion: %s\nDescription: %s\n\n", p[0], arch, p[1], p[2], p[0])
	}
	return fake.Tar(map[string]string{
		"etc/os-release": OSRelease, "etc/debian_version": "12.4\n", "var/lib/dpkg/status": status.String(),
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:65532:65532:app:/:/sbin/nologin\n",
	})
}

// Images are what the demo pushes.
type Images struct {
	vulnerable, clean, unseen gate.Digest
	Index                     gate.Digest
	Children                  []gate.Digest // amd64, arm64
}

// PushImages builds the images and pushes them.
func PushImages(reg *fake.Registry) (d Images, err error) {
	self, err := os.Executable()
	if err != nil {
		return d, err
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return d, fmt.Errorf("reading this program, which goes into an image: %w", err)
	}
	config := v1.Config{User: "65532", Entrypoint: []string{"/app"}, Env: []string{"PATH=/usr/bin:/bin"}, Labels: map[string]string{"team": "shop"}}
	push := func(tags []string, repo, arch string, layers ...[]byte) (gate.Digest, error) {
		img, err := fake.NewImage(fake.ImageOptions{Platform: v1.Platform{OS: "linux", Architecture: arch}, Config: config}, layers...)
		if err != nil {
			return "", err
		}
		var digest gate.Digest
		for _, tag := range tags {
			if digest, err = reg.Push(repo, tag, img); err != nil {
				return "", err
			}
		}
		return digest, nil
	}
	updated := Root(Updated, runtime.GOARCH)
	binary := fake.Tar(map[string]string{"usr/local/bin/digestgate": string(program)})
	if d.vulnerable, err = push([]string{"1.0"}, "shop/web", runtime.GOARCH, Root(Released, runtime.GOARCH)); err != nil {
		return d, err
	}
	// The first layer is the same as below: it is pulled and analysed once.
	if d.clean, err = push([]string{"2.0", "latest"}, "shop/api", runtime.GOARCH, updated, binary); err != nil {
		return d, err
	}
	extra := fake.Tar(map[string]string{"etc/app.conf": "log = info\n"})
	if d.unseen, err = push([]string{"0.1"}, "shop/tool", runtime.GOARCH, updated, extra); err != nil {
		return d, err
	}
	return d, PushIndex(reg, "shop/worker", "3.1", config, &d)
}

// PushIndex pushes an index whose arm64 image missed the updates.
func PushIndex(reg *fake.Registry, repo, tag string, config v1.Config, d *Images) error {
	var members []fake.Child
	for _, m := range []struct {
		arch     string
		packages [][3]string
	}{{"amd64", Updated}, {"arm64", Released}} {
		p := v1.Platform{OS: "linux", Architecture: m.arch}
		img, err := fake.NewImage(fake.ImageOptions{Platform: p, Config: config}, Root(m.packages, m.arch),
			fake.Tar(map[string]string{"etc/worker.conf": "queue = default\n"}))
		if err != nil {
			return err
		}
		h, err := img.Digest()
		if err != nil {
			return err
		}
		d.Children = append(d.Children, gate.Digest(h.String()))
		members = append(members, fake.Child{Add: img, Platform: &p})
	}
	digest, err := reg.PushIndex(repo, tag, fake.NewIndex(members...))
	d.Index = digest
	return err
}
