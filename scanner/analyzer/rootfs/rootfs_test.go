package rootfs_test

import (
	"testing"

	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"./etc/passwd":                 "etc/passwd",
		"/etc//passwd":                 "etc/passwd",
		"../../var/lib/dpkg/status":    "var/lib/dpkg/status",
		"a/../../../var/lib/x":         "var/lib/x",
		"..":                           "",
		"./":                           "",
		`..\..\windows`:                `..\..\windows`,
		"usr/lib/../../etc/os-release": "etc/os-release",
	} {
		if got := rootfs.Clean(in); got != want {
			t.Errorf("Clean(%q): got %q, want %q", in, got, want)
		}
	}
}

func TestMarker(t *testing.T) {
	for in, want := range map[string]string{
		"etc/os-release":              "etc/os-release",
		"var/lib/dpkg":                "var/lib/dpkg",
		"var/lib/dpkg/info/x.list":    "var/lib/dpkg",
		"usr/lib/sysimage/rpm/x":      "usr/lib/sysimage/rpm",
		"var/lib/dpkg-other/x":        "",
		"app/etc/os-release":          "",
		"":                            "",
		"usr/share/doc/libc6/COPYING": "",
	} {
		got, ok := rootfs.Marker(in)
		if got != want || ok != (want != "") {
			t.Errorf("Marker(%q): got %q %v, want %q", in, got, ok, want)
		}
	}
}

func TestDistribution(t *testing.T) {
	debian := rootfs.Layer{Markers: []string{"etc/os-release", "var/lib/dpkg"}}
	tests := map[string]struct {
		layers []rootfs.Layer
		want   bool
	}{
		"scratch":               {[]rootfs.Layer{{}}, false},
		"no_layers":             {nil, false},
		"debian":                {[]rootfs.Layer{debian}, true},
		"database_removed":      {[]rootfs.Layer{debian, {Whiteouts: []string{"var/lib/dpkg/status"}}}, true},
		"directory_removed":     {[]rootfs.Layer{debian, {Whiteouts: []string{"var/lib/dpkg"}}}, true},
		"all_removed":           {[]rootfs.Layer{debian, {Whiteouts: []string{"var/lib/dpkg", "etc"}}}, false},
		"opaque_root":           {[]rootfs.Layer{debian, {Opaque: []string{""}}}, false},
		"opaque_parent":         {[]rootfs.Layer{debian, {Opaque: []string{"etc", "var/lib"}}}, false},
		"opaque_itself":         {[]rootfs.Layer{debian, {Opaque: []string{"var/lib/dpkg"}}}, true},
		"whiteout_below_marker": {[]rootfs.Layer{{Whiteouts: []string{"etc/os-release"}}, debian}, true},
		"similar_name":          {[]rootfs.Layer{debian, {Whiteouts: []string{"var/lib/dp", "et"}}}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := rootfs.Distribution(tt.layers); got != tt.want {
				t.Errorf("Distribution: got %v, want %v", got, tt.want)
			}
		})
	}
}
