package rootfs

import "strings"

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
