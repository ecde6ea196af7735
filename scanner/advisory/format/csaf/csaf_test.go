package csaf_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/csaf"
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

// TestRead_dialects: each vendor's way to name a package in a release.
func TestRead_dialects(t *testing.T) {
	for name, want := range map[string][]string{
		// Only pcs-snmp is fixed, although the branches list pcs as well.
		"opencloudos.json": {
			"OCSA-2024:1112: CVE-2024-21510",
			"  [OpenCloudOS (v. 8.10)] pcs-snmp x86_64 fixed 0.10.18-2.oc8.3 without-epoch",
		},
		"openeuler.json": {
			"openEuler-SA-2025-1351: CVE-2025-29768",
			"  [cpe:/a:openEuler:openEuler:24.03-LTS] vim-common x86_64 fixed 9.0.2092-18.oe2403 without-epoch",
			"  [cpe:/a:openEuler:openEuler:24.03-LTS] vim-filesystem noarch fixed 9.0.2092-18.oe2403 without-epoch",
			"  [cpe:/a:openEuler:openEuler:24.03-LTS] vim source fixed 9.0.2092-18.oe2403 without-epoch",
		},
		// No relationships; the release and the package are in the identifier.
		"alinux.json": {
			"ALINUX3-SA-2024:0001: CVE-2023-3446",
			"  [Alinux 3.2104] openssl-libs x86_64 fixed 1:1.1.1k-9.0.1.al8",
			"ALINUX3-SA-2024:0001: CVE-2023-5678",
			"  [Alinux 3.2104] openssl-libs x86_64 affected 1:1.1.1k-9.0.1.al8",
			"  [Alinux 3.2104] edk2 not affected",
			"  [Alinux 3.2104] mingw-openssl under investigation",
		},
		"redhat.json": {
			"RHSA-2024:9941: CVE-2024-10041",
			"  [cpe:/o:redhat:enterprise_linux:9::baseos] pam x86_64 fixed 1.5.1-21.el9_5",
			"RHSA-2024:0000: CVE-2024-10041",
			"  [cpe:/a:redhat:enterprise_linux:8::appstream] nodejs:20 npm x86_64 fixed 1:10.2.4-1.20.11.1.1.module+el8",
			": CVE-2024-10041",
			"  [cpe:/o:redhat:enterprise_linux:7] pam end of life",
			"  [cpe:/o:redhat:enterprise_linux:8::baseos] pam deferred",
			"  [cpe:/o:redhat:enterprise_linux:6] pam not affected",
		},
		"suse.json": {
			": CVE-2024-2004",
			"  [cpe:/o:suse:sles:15:sp5] curl x86_64 fixed 8.0.1-150400.5.44.1 without-epoch",
			"  [cpe:/o:suse:sles:12:sp5] curl affected",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := formattest.Collect(csaf.Read, sample(t, name), format.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, r.Lines()); diff != "" || len(r.Gaps) > 0 {
				t.Errorf("gaps %+v; entries (-want +got):\n%s", r.Gaps, diff)
			}
			for _, e := range r.Entries {
				if v := e.Vulnerabilities[0]; v.Severity == "" || e.ModifiedAt.IsZero() {
					t.Errorf("got %+v", e)
				}
			}
		})
	}
}

// TestRead_no_cve: Trivy's reader dereferences nil there. The statements are filed under
// another identifier, never lost in silence.
func TestRead_no_cve(t *testing.T) {
	good := sample(t, "opencloudos.json")
	for name, c := range map[string]struct {
		new, want string
		gaps      int
	}{
		"missing": {``, "OCSA-2024:1112: OCSA-2024:1112", 1},
		"null":    {`"cve": null,`, "OCSA-2024:1112: OCSA-2024:1112", 1},
		"empty":   {`"cve": "",`, "OCSA-2024:1112: OCSA-2024:1112", 1},
		"ids":     {`"ids": [{"system_name": "GHSA", "text": "GHSA-aaaa-bbbb-cccc"}],`, "OCSA-2024:1112: GHSA-aaaa-bbbb-cccc", 0},
		"bad_id":  {`"ids": [{"system_name": "x", "text": "../x"}],`, "OCSA-2024:1112: OCSA-2024:1112", 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := formattest.Collect(csaf.Read, strings.Replace(good, `"cve": "CVE-2024-21510",`, c.new, 1), format.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Lines()) != 2 || r.Lines()[0] != c.want || len(r.Gaps) != c.gaps {
				t.Errorf("got %q and %+v, want %q and %d gaps", r.Lines(), r.Gaps, c.want, c.gaps)
			}
		})
	}
	// A document of one CVE names it.
	one := strings.Replace(sample(t, "suse.json"), `"cve": "CVE-2024-2004",`, "", 1)
	if r, err := formattest.Collect(csaf.Read, one, format.Limits{}); err != nil || len(r.Gaps) != 0 || r.Lines()[0] != ": CVE-2024-2004" {
		t.Errorf("got %q %+v %v", r.Lines(), r.Gaps, err)
	}
}

// TestRead_nulls: nothing that may be missing is taken for granted.
func TestRead_nulls(t *testing.T) {
	const head = `{"document":{"csaf_version":"2.0","tracking":{"id":"X-1"}},`
	for _, in := range []string{
		head + `"product_tree":null,"vulnerabilities":null}`,
		head + `"vulnerabilities":[null,{},{"cve":"CVE-2024-1","product_status":null,"remediations":[null],"scores":[null],"threats":[null],"notes":[null],"ids":[null]}]}`,
		head + `"product_tree":{"branches":[null,{"product":null,"branches":null}],"relationships":[null,{}],"full_product_names":[null]}}`,
		head + `"x":{"y":[[{}]]}}`,
	} {
		if _, err := formattest.Collect(csaf.Read, in, format.Limits{}); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// TestRead_order: products may follow the vulnerabilities that name them.
func TestRead_order(t *testing.T) {
	text := sample(t, "opencloudos.json")
	i, j := strings.Index(text, `"product_tree"`), strings.Index(text, `"vulnerabilities"`)
	end := strings.LastIndex(text, "}")
	turned := "{" + text[j:end] + "," + strings.TrimRight(text[i:j], ", \n") + "," + strings.TrimRight(text[strings.Index(text, `"document"`):i], ", \n") + "}"
	a, err := formattest.Collect(csaf.Read, text, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := formattest.Collect(csaf.Read, turned, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Lines(), b.Lines()); diff != "" {
		t.Errorf("(-document first +last):\n%s", diff)
	}
}

func TestRead_gaps(t *testing.T) {
	good := sample(t, "opencloudos.json")
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown_product": {`"fixed": [`, `"fixed": ["OC8-8.10:nobody-1-1",`, ""}, // a release of the tree, and a package
		"no_product":      {`"fixed": [`, `"fixed": ["nobody",`, "product_tree does not have it"},
		"no_version":      {`"fixed": [`, `"fixed": ["OC8-8.10:nobody",`, "there is no version"},
		"no_name":         {`"fixed": [`, `"fixed": ["OC8-8.10:a b",`, "cannot be read as a package"},
		"status":          {`"fixed": [`, `"mended": ["x"], "fixed": [`, "it is none of CSAF's"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := formattest.Collect(csaf.Read, strings.Replace(good, c.old, c.new, 1), format.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if len(r.Gaps) != 0 || len(r.Lines()) != 3 {
					t.Errorf("got %q and %+v", r.Lines(), r.Gaps)
				}
				return
			}
			if len(r.Gaps) != 1 || !strings.Contains(r.Gaps[0].Why, c.want) || !strings.Contains(r.Gaps[0].At, "vulnerabilities[0] at offset ") {
				t.Errorf("got %+v, want one gap with %q", r.Gaps, c.want)
			}
		})
	}
}

func TestRead_refused(t *testing.T) {
	deep := `{"document":{"csaf_version":"2.0","tracking":{"id":"X-1"}},"product_tree":{"branches":[` + strings.Repeat(`{"branches":[`, 80) + strings.Repeat("]}", 80) + "]}}"
	for name, c := range map[string]struct {
		in   string
		l    format.Limits
		is   error
		want string
	}{
		"cut":         {sample(t, "redhat.json")[:1500], format.Limits{}, gate.ErrInvalid, "offset "},
		"another":     {`{"a":1}`, format.Limits{}, gate.ErrInvalid, "document.csaf_version is missing"},
		"version":     {`{"document":{"csaf_version":"3.0"}}`, format.Limits{}, gate.ErrInvalid, `csaf_version is "3.0", want 2.0`},
		"no_id":       {`{"document":{"csaf_version":"2.0"}}`, format.Limits{}, gate.ErrInvalid, "document.tracking.id is missing"},
		"list":        {`{"vulnerabilities":{}}`, format.Limits{}, gate.ErrInvalid, "want a list"},
		"type":        {`{"vulnerabilities":[{"cve":7}]}`, format.Limits{}, gate.ErrInvalid, "parsing JSON"},
		"follows":     {sample(t, "suse.json") + "{}", format.Limits{}, gate.ErrInvalid, "something follows"},
		"branches":    {deep, format.Limits{}, gate.ErrTooLarge, "nested more than 64 deep"},
		"unknown":     {`{"x":` + strings.Repeat("[", 80), format.Limits{}, gate.ErrTooLarge, "nested more than 64 deep"},
		"products":    {sample(t, "redhat.json"), format.Limits{Parts: 3}, gate.ErrTooLarge, "more than 3 products"},
		"entries":     {sample(t, "alinux.json"), format.Limits{Entries: 1}, gate.ErrTooLarge, "more than 1 vulnerabilities"},
		"large":       {sample(t, "alinux.json"), format.Limits{Bytes: 100}, gate.ErrInvalid, "parsing JSON"},
		"not_an_json": {`<a/>`, format.Limits{}, gate.ErrInvalid, "offset"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := formattest.Collect(csaf.Read, c.in, c.l); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %v with %q", err, c.is, c.want)
			}
		})
	}
}

// TestRead_memory: texts, and products that only scores name, are not kept.
func TestRead_memory(t *testing.T) {
	head := `{"document":{"csaf_version":"2.0","tracking":{"id":"X-1"}},"product_tree":{"full_product_names":[{"product_id":"OC8-8.10","name":"OpenCloudOS (v. 8.10)"}]},"vulnerabilities":[{"cve":"CVE-2024-1"}`
	one := `,{"cve":"CVE-2024-%d","notes":[{"category":"other","text":"` + strings.Repeat("t", 1500) + `"}],"product_status":{"fixed":["OC8-8.10:a-1-1"]},"scores":[{"products":["` + strings.Repeat("p", 1000) + `"]}]}` + "\n"
	size, peak, n := formattest.Peak(t, csaf.Read, formattest.Large(head, one, "]}", 4000), format.Limits{})
	if n != 4000 || size < 9<<20 || peak > size/2 {
		t.Errorf("%d entries; %d bytes were read, %d kept", n, size, peak)
	}
}

func TestRead_sink(t *testing.T) {
	want := errors.New("full")
	err := csaf.Read(strings.NewReader(sample(t, "suse.json")), format.Limits{}, format.Sink{Entry: func(format.Entry) error { return want }, Stated: func(time.Time) {}})
	if !errors.Is(err, want) || errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	formattest.Fuzz(f, csaf.Read, sample(f, "opencloudos.json"), sample(f, "alinux.json"), sample(f, "redhat.json"), sample(f, "suse.json"), sample(f, "openeuler.json"), `{"vulnerabilities":[null]}`)
}
