package format_test

import (
	"testing"

	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// TestRepairEVR has versions of ANSA-2025:0186 and of Alibaba Cloud Linux' files as they
// are, and what cannot be repaired.
func TestRepairEVR(t *testing.T) {
	for in, want := range map[string]string{
		"32:9.18.34-1.an23":              "32:9.18.34-1.an23",
		"32:chroot-9.18.34-1.an23":       "32:9.18.34-1.an23",
		"32:dnssec-utils-9.18.34-1.an23": "32:9.18.34-1.an23",
		"0:debug-devel-4.19.91-28.7.al7": "4.19.91-28.7.al7",
		"0:agents-4.9.0-54.al8.36":       "4.9.0-54.al8.36",
		"1.1.1f-15.oe1":                  "1.1.1f-15.oe1",
		"0:1.0~rc1^git1-1":               "1.0~rc1^git1-1",
		"32:chroot-9.18.34":              "",
		"32:9.18.34":                     "",
		"chroot:9.18.34-1":               "",
		":9-1":                           "",
		"32:9.18.34-":                    "",
		"32:a b-1":                       "",
		"32:9.18\uFFFD34-1":              "",
		"":                               "",
		"99999999999:1-1":                "",
	} {
		v, repaired, err := format.RepairEVR(in)
		if got := v.String(); err == nil && got != want || (err == nil) != (want != "") {
			t.Errorf("RepairEVR(%q): got %q %v, want %q", in, got, err, want)
		}
		if want != "" && repaired != (in[len(in)-len(want):] != in && in != "0:"+want) {
			t.Errorf("RepairEVR(%q): repaired is %v", in, repaired)
		}
	}
	// Nothing is repaired where a version has to be right.
	if v, err := format.ParseEVR("32:chroot-9.18.34-1.an23"); err == nil {
		t.Errorf("ParseEVR took %v", v)
	}
}

func TestParseNVRA(t *testing.T) {
	for in, want := range map[string]format.NVRA{
		"vim-9.0-33.oe2203sp3.src.rpm":              {Name: "vim", EVR: format.EVR{Version: "9.0", Release: "33.oe2203sp3"}, Arch: "src"},
		"pcs-snmp-0.10.18-2.oc8.3.x86_64":           {Name: "pcs-snmp", EVR: format.EVR{Version: "0.10.18", Release: "2.oc8.3"}, Arch: "x86_64"},
		"openssl-1:1.1.1k-9.0.1.al8.x86_64":         {Name: "openssl", EVR: format.EVR{Epoch: "1", Version: "1.1.1k", Release: "9.0.1.al8"}, Arch: "x86_64"},
		"openssl-1_1-1.1.1d-11.27.1":                {Name: "openssl-1_1", EVR: format.EVR{Version: "1.1.1d", Release: "11.27.1"}},
		"pam-0:1.5.1-21.el9_5.aarch64":              {Name: "pam", EVR: format.EVR{Epoch: "0", Version: "1.5.1", Release: "21.el9_5"}, Arch: "aarch64"},
		"java-1.8.0-openjdk-1.8.0.412-1.oe1.noarch": {Name: "java-1.8.0-openjdk", EVR: format.EVR{Version: "1.8.0.412", Release: "1.oe1"}, Arch: "noarch"},
		"libstdc++-10.2.1-1.5.al8.loongarch64":      {Name: "libstdc++", EVR: format.EVR{Version: "10.2.1", Release: "1.5.al8"}, Arch: "loongarch64"},
	} {
		if got, err := format.ParseNVRA(in); err != nil || got != want {
			t.Errorf("ParseNVRA(%q): got %+v %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "pam", "pam-1", "-1-1", "a b-1-1", "x-y-z", "../x-1-1", "pam-1-1 .x86_64"} {
		if got, err := format.ParseNVRA(in); err == nil {
			t.Errorf("ParseNVRA(%q): got %+v", in, got)
		}
	}
}

func TestTime(t *testing.T) {
	for in, want := range map[string]string{
		"2026-03-03 10:00:00": "2026-03-03T10:00:00Z", "2025-04-30T01:13:13": "2025-04-30T01:13:13Z", "20250130": "2025-01-30T00:00:00Z",
		"2025-03-29T14:31:53+08:00": "2025-03-29T06:31:53Z", "1700000000": "2023-11-14T22:13:20Z", "soon": "", "": "", "12": "",
	} {
		got := ""
		if v := format.Time(in); !v.IsZero() {
			got = v.Format("2006-01-02T15:04:05Z07:00")
		}
		if got != want {
			t.Errorf("Time(%q): got %q, want %q", in, got, want)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("32:chroot-9.18.34-1.an23")
	f.Add("vim-9.0-33.oe2203sp3.src.rpm")
	f.Fuzz(func(t *testing.T, s string) {
		if v, _, err := format.RepairEVR(s); err == nil {
			if w, err := format.ParseEVR(v.String()); err != nil || w.Version != v.Version || w.Release != v.Release {
				t.Errorf("%q was read as %+v, which is read as %+v: %v", s, v, w, err)
			}
		}
		if p, err := format.ParseNVRA(s); err == nil && !format.RPMName(p.Name) {
			t.Errorf("%q: the name %q", s, p.Name)
		}
	})
}
