package rootfs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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

var indexed = []rootfs.Entry{
	{Name: "usr", Kind: rootfs.Directory, Mode: 0o755},
	{Name: "usr/bin/tool", Kind: rootfs.File, Mode: 0o4755, Size: 1 << 40},
	{Name: "usr/bin/link", Kind: rootfs.Symlink, Link: "../tool", Refused: rootfs.UserAttribute},
	{Name: "usr/bin/hard", Kind: rootfs.Hardlink, Link: "usr/bin/tool"},
	{Name: "\xff\xfe not text", Kind: rootfs.File},
	{Name: "../outside", Kind: rootfs.NullDevice},
	{Name: "/etc/.wh.x", Kind: rootfs.File},
	{Name: ".", Kind: rootfs.Unknown},
}

func TestIndex(t *testing.T) {
	raw := rootfs.AppendIndex(nil, indexed)
	got, err := rootfs.ParseIndex(raw, len(indexed))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(indexed, got); diff != "" {
		t.Errorf("ParseIndex (-want +got):\n%s", diff)
	}
	if _, err := rootfs.ParseIndex(raw, len(indexed)-1); err == nil {
		t.Error("more entries than allowed: got no error")
	}
	for cut := range raw {
		if _, err := rootfs.ParseIndex(raw[:cut], 100); err == nil {
			t.Errorf("cut after %d bytes: got no error", cut)
		}
	}
	if _, err := rootfs.ParseIndex(append(raw, 0), 100); err == nil {
		t.Error("with a byte more: got no error")
	}
}

// FuzzIndex: an index comes from a process that parsed hostile bytes.
func FuzzIndex(f *testing.F) {
	f.Add(rootfs.AppendIndex(nil, indexed))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := rootfs.ParseIndex(raw, 1000)
		if err != nil {
			return
		}
		again, err := rootfs.ParseIndex(rootfs.AppendIndex(nil, entries), 1000)
		if diff := cmp.Diff(entries, again); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
		views, err := rootfs.Resolve([][]rootfs.Entry{entries, entries})
		if err != nil {
			return
		}
		for _, v := range views {
			v.Walk("", func(p string, n rootfs.Node) bool {
				if _, _, ok := v.Lookup(p); !ok && n.Kind != rootfs.Symlink {
					t.Errorf("%q is shown and cannot be looked up", p)
				}
				return true
			})
		}
	})
}
