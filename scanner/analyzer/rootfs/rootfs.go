// Package rootfs answers two questions about a root file system that is made of
// layers, without unpacking it: does it look like a distribution's, and is a
// path of a lower layer still visible at the top. It is a calculation on path
// names only and does no I/O.
package rootfs

import (
	"path"
	"strings"
)

// Clean is the one spelling of a path inside a layer: without a leading slash
// or "./", with ".." resolved inside the root, as a container runtime unpacks
// it. The root itself is "".
func Clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

// markerFiles are files that only a distribution's root file system has:
// os-release(5), the files that scanners recognise distributions by, package
// managers and their configuration. A base image whose package database was
// deleted still has most of them.
var markerFiles = map[string]bool{
	"etc/os-release": true, "usr/lib/os-release": true, "etc/lsb-release": true,
	"etc/alpine-release": true, "etc/debian_version": true, "etc/redhat-release": true,
	"etc/system-release": true, "etc/centos-release": true, "etc/fedora-release": true,
	"etc/rocky-release": true, "etc/almalinux-release": true, "etc/oracle-release": true,
	"etc/SuSE-release": true, "etc/mariner-release": true, "etc/openEuler-release": true,
	"bin/apk": true, "sbin/apk": true, "usr/bin/apk": true, "usr/sbin/apk": true,
	"bin/dpkg": true, "usr/bin/dpkg": true, "usr/bin/apt": true, "usr/bin/apt-get": true,
	"bin/rpm": true, "usr/bin/rpm": true, "usr/bin/dnf": true, "usr/bin/yum": true,
	"usr/bin/microdnf": true, "usr/bin/tdnf": true, "usr/bin/zypper": true,
	"usr/bin/pacman": true, "usr/bin/opkg": true,
}

// markerDirs are directories with the same meaning, themselves and everything
// below them.
var markerDirs = []string{
	"var/lib/dpkg", "etc/dpkg", "etc/apt", "var/lib/apt",
	"lib/apk", "usr/lib/apk", "etc/apk", "var/lib/apk",
	"var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm", "etc/yum.repos.d", "etc/zypp", "etc/rpm",
	"var/lib/pacman", "etc/pacman.d",
}

// Marker reduces a cleaned path to the marker that it shows: the path itself
// for a file, the directory for anything in it, so that a layer has few. ok is
// false for a path that shows nothing.
func Marker(p string) (marker string, ok bool) {
	if markerFiles[p] {
		return p, true
	}
	for _, d := range markerDirs {
		if p == d || strings.HasPrefix(p, d+"/") {
			return d, true
		}
	}
	return "", false
}

// Layer is what the calculation needs of one layer; all paths are cleaned.
type Layer struct {
	Markers   []string
	Whiteouts []string // paths that the layer removes from those below
	Opaque    []string // directories whose lower content the layer hides
}

// Distribution reports whether the file system of the layers, base first, has a
// marker at the top. Removing what lies below a marker directory does not
// remove the directory, and a package database removed file by file still shows
// that there was one.
func Distribution(layers []Layer) bool {
	for i, l := range layers {
		for _, m := range l.Markers {
			if Visible(layers, i, m) {
				return true
			}
		}
	}
	return false
}

// Visible reports whether the path of layer index is not removed by a layer
// above it.
func Visible(layers []Layer, index int, p string) bool {
	for _, above := range layers[index+1:] {
		for _, w := range above.Whiteouts {
			if p == w || strings.HasPrefix(p, w+"/") {
				return false
			}
		}
		for _, o := range above.Opaque {
			if o == "" || strings.HasPrefix(p, o+"/") {
				return false
			}
		}
	}
	return true
}
