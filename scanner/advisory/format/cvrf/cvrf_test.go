package cvrf_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/cvrf"
	"github.com/digestgate/digestgate/scanner/advisory/format/formattest"
)

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRead_openeuler: the status names a release, the packages are those of the tree, and
// versions have no epochs. One identifier of a product stands for several files.
func TestRead_openeuler(t *testing.T) {
	text := sample(t, "openeuler.xml")
	r, err := formattest.Collect(cvrf.Read, text, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	packages := []string{
		"  [cpe:/a:openEuler:openEuler:22.03-LTS-SP3] firefox aarch64 fixed 128.8.0-1.oe2203sp3 without-epoch",
		"  [cpe:/a:openEuler:openEuler:22.03-LTS-SP3] firefox source fixed 128.8.0-1.oe2203sp3 without-epoch",
		"  [cpe:/a:openEuler:openEuler:22.03-LTS-SP3] firefox x86_64 fixed 128.8.0-1.oe2203sp3 without-epoch",
		"  [cpe:/a:openEuler:openEuler:22.03-LTS-SP3] firefox-help noarch fixed 128.8.0-1.oe2203sp3 without-epoch",
	}
	want := slices.Concat([]string{"openEuler-SA-2025-1379: CVE-2023-32216"}, packages, []string{"openEuler-SA-2025-1379: CVE-2023-6879"}, packages)
	if diff := cmp.Diff(want, r.Lines()); diff != "" || len(r.Gaps) > 0 {
		t.Errorf("gaps %v; entries (-want +got):\n%s", r.Gaps, diff)
	}
	v := r.Entries[0].Vulnerabilities[0]
	if v.Severity != "Critical" || len(v.CVSS) != 1 || v.CVSS[0] != "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" || !strings.Contains(v.Description, "Firefox < 113") {
		t.Errorf("got %+v", v)
	}
	// openEuler's descriptions have bytes that are no UTF-8.
	r, err = formattest.Collect(cvrf.Read, strings.Replace(text, "Memory safety", "Memory\xe2\x80 safety\x02", 1), format.Limits{})
	if err != nil || len(r.Entries) != 2 {
		t.Errorf("with invalid UTF-8: got %d entries, %v", len(r.Entries), err)
	}
}

// TestRead_one_file_of_several_releases: each release has the packages that the tree lists
// for it, also where they are the same files.
func TestRead_one_file_of_several_releases(t *testing.T) {
	const one = `<FullProductName ProductID="firefox-128.8.0-1" CPE="cpe:/a:openEuler:openEuler:22.03-LTS-SP3">firefox-128.8.0-1.oe2203sp3.x86_64.rpm</FullProductName>`
	const release = `<FullProductName ProductID="openEuler-22.03-LTS-SP3" CPE="cpe:/a:openEuler:openEuler:22.03-LTS-SP3">openEuler-22.03-LTS-SP3</FullProductName>`
	const status = `<ProductID>openEuler-22.03-LTS-SP3</ProductID>`
	text := sample(t, "openeuler.xml")
	for _, part := range []string{one, release, status} {
		if !strings.Contains(text, part) {
			t.Fatalf("the sample has no %s", part)
		}
		text = strings.ReplaceAll(text, part, part+strings.ReplaceAll(part, "22.03-LTS-SP3", "22.03-LTS-SP4"))
	}
	r, err := formattest.Collect(cvrf.Read, text, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Join(r.Lines(), "\n")
	for _, sp := range []string{"SP3", "SP4"} {
		if want := "[cpe:/a:openEuler:openEuler:22.03-LTS-" + sp + "] firefox x86_64 fixed 128.8.0-1.oe2203sp3"; !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
}

func TestRead_suse(t *testing.T) {
	r, err := formattest.Collect(cvrf.Read, sample(t, "suse.xml"), format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"SUSE-SU-2019:0048-2: CVE-2018-19637",
		"  [SUSE Linux Enterprise Module for Basesystem 15 SP1] supportutils fixed 3.1-5.7.1 without-epoch",
		"  [openSUSE Leap 15.1] supportutils affected",
	}
	if diff := cmp.Diff(want, r.Lines()); diff != "" || len(r.Gaps) > 0 {
		t.Errorf("gaps %v; entries (-want +got):\n%s", r.Gaps, diff)
	}
}

func TestRead_gaps(t *testing.T) {
	good := sample(t, "openeuler.xml")
	for name, c := range map[string]struct{ old, new, want string }{
		"no_cve":          {"<CVE>CVE-2023-6879</CVE>", "", "it has no CVE"},
		"unknown_product": {"<ProductID>openEuler-22.03-LTS-SP3</ProductID>", "<ProductID>openEuler-99</ProductID>", "the product tree does not have it"},
		"unknown_type":    {`Status Type="Fixed"`, `Status Type="Mended"`, "its type is Mended"},
		"no_packages":     {`CPE="cpe:/a:openEuler:openEuler:22.03-LTS-SP3">openEuler-22`, `CPE="cpe:/a:openEuler:openEuler:24.03-LTS">openEuler-22`, "lists no packages"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := formattest.Collect(cvrf.Read, strings.Replace(good, c.old, c.new, 1), format.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Gaps) == 0 || !strings.Contains(r.Gaps[0].Why, c.want) || r.Gaps[0].Of != "openEuler-SA-2025-1379" || !strings.HasPrefix(r.Gaps[0].At, "line ") {
				t.Errorf("got %+v, want a gap with %q", r.Gaps, c.want)
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
		"doctype":  {`<!DOCTYPE cvrfdoc><cvrfdoc/>`, format.Limits{}, gate.ErrInvalid, "a document type"},
		"cut":      {sample(t, "suse.xml")[:1200], format.Limits{}, gate.ErrInvalid, "line "},
		"another":  {`<a/>`, format.Limits{}, gate.ErrInvalid, "want <cvrfdoc>"},
		"no_id":    {`<cvrfdoc/>`, format.Limits{}, gate.ErrInvalid, "DocumentTracking/Identification/ID is missing"},
		"products": {sample(t, "openeuler.xml"), format.Limits{Parts: 3}, gate.ErrTooLarge, "more than 3 products"},
		// A status of a release times the packages of the release.
		"statements": {sample(t, "openeuler.xml"), format.Limits{Parts: 7}, gate.ErrTooLarge, "more than 7"},
		"branches":   {"<cvrfdoc><ProductTree>" + strings.Repeat("<Branch>", 80), format.Limits{}, gate.ErrTooLarge, "nested more than 64"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := formattest.Collect(cvrf.Read, c.in, c.l); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %v with %q", err, c.is, c.want)
			}
		})
	}
}

// TestRead_memory: what one document keeps is a fraction of it.
func TestRead_memory(t *testing.T) {
	head := `<cvrfdoc><DocumentTracking><Identification><ID>X-1</ID></Identification></DocumentTracking><ProductTree><Branch Type="Package Arch" Name="src"><FullProductName ProductID="r" CPE="cpe:/a:openEuler:openEuler:24.03-LTS">openEuler-24.03-LTS</FullProductName><FullProductName ProductID="a" CPE="cpe:/a:openEuler:openEuler:24.03-LTS">a-1-1.oe2403.src.rpm</FullProductName></Branch></ProductTree>`
	one := `<Vulnerability><Threats><Threat Type="Other"><Description>` + strings.Repeat("d", 2000) + `</Description></Threat></Threats><CVE>CVE-2024-%d</CVE><ProductStatuses><Status Type="Fixed"><ProductID>r</ProductID></Status></ProductStatuses></Vulnerability>` + "\n"
	size, peak, n := formattest.Peak(t, cvrf.Read, formattest.Large(head, one, "</cvrfdoc>", 4000), format.Limits{})
	if n != 4000 || size < 8<<20 || peak > size/2 {
		t.Errorf("%d entries; %d bytes were read, %d kept", n, size, peak)
	}
}

func FuzzRead(f *testing.F) {
	formattest.Fuzz(f, cvrf.Read, sample(f, "openeuler.xml"), sample(f, "suse.xml"), "<cvrfdoc/>", "<!DOCTYPE a><cvrfdoc/>")
}
