package oval_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/formattest"
	"github.com/digestgate/digestgate/scanner/advisory/format/oval"
)

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRead_anolis: ANSA-2025:0186 with the versions of sub-packages as Anolis OS publishes
// them: "32:chroot-9.18.34-1.an23". Taken as they are, an installed 32:9.18.20 is not less.
func TestRead_anolis(t *testing.T) {
	r, err := formattest.Collect(oval.Read, sample(t, "anolis.xml"), format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ANSA-2025:0186: CVE-2024-11187 CVE-2024-12705",
		"  [Anolis OS 23] bind fixed 32:9.18.34-1.an23",
		"  [Anolis OS 23] bind-chroot fixed 32:9.18.34-1.an23",
		"  [Anolis OS 23] bind-dnssec-utils fixed 32:9.18.34-1.an23",
	}
	if diff := cmp.Diff(want, r.Lines()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if got := r.Stated.Format("2006-01-02"); got != "2025-04-30" {
		t.Errorf("stated: got %s", got)
	}
	v := r.Entries[0].Vulnerabilities[0]
	if v.Severity != "Important" || len(v.CVSS) != 1 || v.CVSS[0] != "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H" || v.PublishedAt.Format("2006-01-02") != "2025-01-30" {
		t.Errorf("got %+v", v)
	}
	// The second definition of the sample has a version that cannot be repaired.
	if len(r.Gaps) != 1 || r.Gaps[0].Of != "ANSA-2025:0999" || !strings.Contains(r.Gaps[0].Why, `"0:devel-libs-"`) || r.Gaps[0].Release[0] != "Anolis OS 23" {
		t.Errorf("gaps: got %+v", r.Gaps)
	}
}

// TestRead_alibaba: the line of a kernel is not a part of its name.
func TestRead_alibaba(t *testing.T) {
	r, err := formattest.Collect(oval.Read, sample(t, "alinux.xml"), format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ALINUX2-SA-2026:0003: CVE-2026-46333",
		"  [Alibaba Cloud Linux 2.1903] kernel fixed 4.19.91-28.7.al7",
		"  [Alibaba Cloud Linux 2.1903] kernel-debug-devel fixed 4.19.91-28.7.al7",
	}
	if diff := cmp.Diff(want, r.Lines()); diff != "" || len(r.Gaps) > 0 {
		t.Errorf("gaps %v; entries (-want +got):\n%s", r.Gaps, diff)
	}
}

// TestRead_oracle: architectures are criteria, and a module is one.
func TestRead_oracle(t *testing.T) {
	r, err := formattest.Collect(oval.Read, sample(t, "oracle.xml"), format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ELSA-2024-5101: CVE-2024-36971",
		"  [Oracle Linux 8] bpftool aarch64 fixed 4.18.0-553.16.1.el8_10",
		"  [Oracle Linux 8] kernel x86_64 fixed 4.18.0-553.16.1.el8_10",
		"  [Oracle Linux 8] nodejs:20 npm x86_64 fixed 1:10.8.1-1.20.16.0.1.module+el8.10.0+90377+b2d1f3a5.0.1",
	}
	if diff := cmp.Diff(want, r.Lines()); diff != "" || len(r.Gaps) > 0 {
		t.Errorf("gaps %v; entries (-want +got):\n%s", r.Gaps, diff)
	}
}

// TestRead_suse: an OR of releases stands beside the OR of packages, and architectures are
// patterns of states.
func TestRead_suse(t *testing.T) {
	r, err := formattest.Collect(oval.Read, sample(t, "suse.xml"), format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"SUSE-SU-2024:1234-1: CVE-2024-2004",
		"  [SUSE Linux Enterprise Server 15 SP5] curl aarch64 fixed 8.0.1-150400.5.44.1",
		"  [SUSE Linux Enterprise Server 15 SP5] curl x86_64 fixed 8.0.1-150400.5.44.1",
		"  [SUSE Linux Enterprise Desktop 15 SP5] curl aarch64 fixed 8.0.1-150400.5.44.1",
		"  [SUSE Linux Enterprise Desktop 15 SP5] curl x86_64 fixed 8.0.1-150400.5.44.1",
	}
	if diff := cmp.Diff(want, r.Lines()); diff != "" || len(r.Gaps) > 0 {
		t.Errorf("gaps %v; entries (-want +got):\n%s", r.Gaps, diff)
	}
}

func TestRead_gaps(t *testing.T) {
	good := sample(t, "alinux.xml")
	for name, c := range map[string]struct{ old, new, want string }{
		"operation":  {`operation="less than">0:4`, `operation="greater than">0:4`, ""},
		"or_equal":   {`operation="less than">0:4`, `operation="less than or equal">0:4`, `the operation "less than or equal" is not known`},
		"object":     {`object_ref="oval:com.aliyun:obj:20260003003"`, `object_ref="x"`, "which names no package"},
		"name":       {`<name>kernel:5.10</name>`, `<name>../x</name>`, `"../x" cannot be the name`},
		"no_version": {`0:debug-devel-4.19.91-28.7.al7`, `0:4`, `version "0:4"`},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, c.old) {
				t.Fatalf("the sample has no %s", c.old)
			}
			r, err := formattest.Collect(oval.Read, strings.ReplaceAll(good, c.old, c.new), format.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				return // the other package of the definition is left
			}
			if len(r.Entries) != 0 || len(r.Gaps) != 1 || !strings.Contains(r.Gaps[0].Why, c.want) {
				t.Errorf("got %v and %+v, want one gap with %q", r.Lines(), r.Gaps, c.want)
			}
		})
	}
}

func TestRead_refused(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		l    format.Limits
		is   error
		want string
	}{
		"doctype":     {`<!DOCTYPE a><oval_definitions/>`, format.Limits{}, gate.ErrInvalid, "a document type"},
		"cut":         {sample(t, "oracle.xml")[:2000], format.Limits{}, gate.ErrInvalid, "line "},
		"another":     {`<a/>`, format.Limits{}, gate.ErrInvalid, "want <oval_definitions>"},
		"definitions": {sample(t, "anolis.xml"), format.Limits{Entries: 1}, gate.ErrTooLarge, "more than 1 definitions"},
		"parts":       {sample(t, "anolis.xml"), format.Limits{Parts: 3}, gate.ErrTooLarge, "more than 3"},
		"deep":        {"<oval_definitions><definitions><definition>" + strings.Repeat("<criteria>", 80), format.Limits{}, gate.ErrTooLarge, "nested more than 64"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := formattest.Collect(oval.Read, c.in, c.l); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %v with %q", err, c.is, c.want)
			}
		})
	}
}

// TestRead_memory: definitions wait for the tests that follow them, and what is kept of a
// file is a fraction of it.
func TestRead_memory(t *testing.T) {
	one := `<definition class="patch" id="oval:cn.openanolis:def:%d" version="1"><metadata><title>ANSA-2025:%d: update</title><affected family="unix"><platform>Anolis OS 8</platform></affected>` +
		`<reference ref_id="ANSA-2025:%d" source="ANSA"/><description>` + strings.Repeat("d", 3000) + `</description><advisory><cve>CVE-2025-%d</cve></advisory></metadata>` +
		`<criteria operator="AND"><criterion comment="Anolis OS 8 is installed" test_ref="t:0"/><criteria operator="OR"><criterion comment="bind is earlier than 32:9.18.34-1.an8" test_ref="t:1"/></criteria></criteria></definition>` + "\n"
	tail := `</definitions><tests><rpminfo_test id="t:1"><object object_ref="o:1"/><state state_ref="s:1"/></rpminfo_test></tests>` +
		`<objects><rpminfo_object id="o:1"><name>bind</name></rpminfo_object></objects>` +
		`<states><rpminfo_state id="s:1"><evr operation="less than">32:9.18.34-1.an8</evr></rpminfo_state></states></oval_definitions>`
	size, peak, n := formattest.Peak(t, oval.Read, formattest.Large("<oval_definitions><definitions>", one, tail, 5000), format.Limits{})
	if n != 5000 || size < 15<<20 || peak > size*9/10 {
		t.Errorf("%d entries; %d bytes were read, %d kept", n, size, peak)
	}
}

func FuzzRead(f *testing.F) {
	formattest.Fuzz(f, oval.Read, sample(f, "anolis.xml"), sample(f, "alinux.xml"), sample(f, "oracle.xml"), sample(f, "suse.xml"), "<oval_definitions/>")
}
