package updateinfo_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/formattest"
	"github.com/digestgate/digestgate/scanner/advisory/format/updateinfo"
)

// tencent has the facts of TSSA-2026:0199, with the release in the title only, and of an
// update of HCE as its users' guide shows it.
const tencent = `<?xml version="1.0" encoding="UTF-8"?>
<updates>
 <update from="tencentos_secure@tencent.com" status="final" type="security" version="1">
  <id>TSSA-2026:0199</id>
  <title>TencentOS Server 4: openssl security update</title>
  <issued date="2026-03-02 10:00:00"/><updated date="2026-03-03 10:00:00"/>
  <severity>Important</severity>
  <description>Package updates are available for TencentOS Server 4 that fix CVE-2024-5535.</description>
  <references>
   <reference href="https://nvd.nist.gov/vuln/detail/CVE-2024-5535" id="CVE-2024-5535" type="cve" title="CVE-2024-5535"/>
   <reference href="http://mirrors.tencent.com/tlinux/errata/tssa-20260199.xml" id="TSSA-2026:0199" type="self"/>
  </references>
  <pkglist><collection short="tl4"><name>TencentOS Server 4</name>
   <package name="openssl-libs" version="3.0.12" release="11.tl4" epoch="1" arch="x86_64" src="openssl-3.0.12-11.tl4.src.rpm"><filename>openssl-libs-3.0.12-11.tl4.x86_64.rpm</filename></package>
   <package name="openssl-libs" version="3.0.12" release="11.tl4" epoch="1" arch="aarch64" src="openssl-3.0.12-11.tl4.src.rpm"/>
   <package name="openssl" version="3.0.12" release="11.tl4" arch="x86_64"/>
  </collection></pkglist>
 </update>
 <update type="bugfix"><id>HCE2-BA-2024-0001</id><title>nothing to see</title><pkglist><collection><package name="a" version="1" release="1" arch="noarch"/></collection></pkglist></update>
</updates>`

func TestRead_tencentos(t *testing.T) {
	r, err := formattest.Collect(updateinfo.Read, tencent, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	// An epoch that is missing is not an epoch of 0.
	want := []string{
		"TSSA-2026:0199: CVE-2024-5535",
		"  [TencentOS Server 4: openssl security update] openssl-libs x86_64 fixed 1:3.0.12-11.tl4",
		"  [TencentOS Server 4: openssl security update] openssl source fixed 3.0.12-11.tl4 without-epoch",
		"  [TencentOS Server 4: openssl security update] openssl-libs aarch64 fixed 1:3.0.12-11.tl4",
		"  [TencentOS Server 4: openssl security update] openssl x86_64 fixed 3.0.12-11.tl4 without-epoch",
	}
	if diff := cmp.Diff(want, r.Lines()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	e := r.Entries[0]
	if e.ModifiedAt.Format("2006-01-02") != "2026-03-03" || e.Vulnerabilities[0].Severity != "Important" || e.At != "line 3" {
		t.Errorf("details: got %+v", e)
	}
	if len(r.Gaps) != 0 || r.Skipped["updates that fix no vulnerability"] != 1 {
		t.Errorf("got gaps %v, skipped %v", r.Gaps, r.Skipped)
	}
}

// update is a document with one security update.
func update(inner string) string {
	return `<updates><update type="security"><id>HCE2-SA-2024-0224</id>` + inner + `</update></updates>`
}

const curl = `<pkglist><collection><package name="curl" version="7.79.1" release="24.hce2" epoch="0" arch="x86_64"/></collection></pkglist>`

func TestRead_shapes(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
		gaps int
	}{
		"cve_in_the_text": {update(`<description>fixes CVE-2024-2398 and cve-2024-2004</description>` + curl),
			[]string{"HCE2-SA-2024-0224: CVE-2024-2004 CVE-2024-2398", "  [fixes CVE-2024-2398 and cve-2024-2004] curl x86_64 fixed 7.79.1-24.hce2"}, 0},
		"no_cve_at_all":    {update(curl), []string{"HCE2-SA-2024-0224: HCE2-SA-2024-0224", "  curl x86_64 fixed 7.79.1-24.hce2"}, 0},
		"date_as_text":     {update(`<issued>2024-01-02</issued>` + curl), []string{"HCE2-SA-2024-0224: HCE2-SA-2024-0224", "  curl x86_64 fixed 7.79.1-24.hce2"}, 0},
		"module":           {update(strings.Replace(curl, "<package", `<module name="nodejs" stream="20" version="8" context="a" arch="x86_64"/><package`, 1)), []string{"HCE2-SA-2024-0224: HCE2-SA-2024-0224", "  nodejs:20 curl x86_64 fixed 7.79.1-24.hce2"}, 0},
		"epoch_none":       {update(strings.Replace(curl, `epoch="0"`, `epoch="(none)"`, 1)), []string{"HCE2-SA-2024-0224: HCE2-SA-2024-0224", "  curl x86_64 fixed 7.79.1-24.hce2"}, 0},
		"broken_version":   {update(strings.Replace(curl, "24.hce2", "", 1)), nil, 1},
		"epoch_no_number":  {update(strings.Replace(curl, `epoch="0"`, `epoch="x"`, 1)), nil, 1},
		"no_packages":      {update(""), nil, 1},
		"bad_id":           {`<updates><update type="security"><id>../x</id>` + curl + `</update></updates>`, nil, 1},
		"bugfix_with_cve":  {strings.Replace(update(`<title>CVE-2024-2398</title>`+curl), "security", "bugfix", 1), []string{"HCE2-SA-2024-0224: CVE-2024-2398", "  [CVE-2024-2398] curl x86_64 fixed 7.79.1-24.hce2"}, 0},
		"testing":          {strings.Replace(update(curl), `type="security"`, `type="security" status="testing"`, 1), nil, 0},
		"invalid_utf8":     {update("<title>caf\xe9 CVE-2024-2398\x01</title>" + curl), []string{"HCE2-SA-2024-0224: CVE-2024-2398", "  [caf\uFFFD CVE-2024-2398\uFFFD] curl x86_64 fixed 7.79.1-24.hce2"}, 0},
		"mark_of_order":    {"\uFEFF" + update(curl), []string{"HCE2-SA-2024-0224: HCE2-SA-2024-0224", "  curl x86_64 fixed 7.79.1-24.hce2"}, 0},
		"own_five_escapes": {update(`<title>a &lt; b &amp; &#67;VE-2024-2398</title>` + curl), []string{"HCE2-SA-2024-0224: CVE-2024-2398", "  [a < b & CVE-2024-2398] curl x86_64 fixed 7.79.1-24.hce2"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := formattest.Collect(updateinfo.Read, c.in, format.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, r.Lines()); diff != "" || len(r.Gaps) != c.gaps {
				t.Errorf("gaps %v; entries (-want +got):\n%s", r.Gaps, diff)
			}
		})
	}
}

func TestRead_refused(t *testing.T) {
	deep := strings.Repeat("<a>", 70) + strings.Repeat("</a>", 70)
	for name, c := range map[string]struct {
		in, want string
		limits   format.Limits
		is       error
	}{
		"doctype":         {`<!DOCTYPE updates [<!ENTITY a "b">]><updates>&a;</updates>`, "a document type (<!DOCTYPE updates [<!E) is refused", format.Limits{}, gate.ErrInvalid},
		"external_entity": {`<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><updates/>`, "line 1, column 62: a document type", format.Limits{}, gate.ErrInvalid},
		"entity":          {`<updates>&lol;</updates>`, "invalid character entity", format.Limits{}, gate.ErrInvalid},
		"cut":             {tencent[:650], "unexpected EOF", format.Limits{}, gate.ErrInvalid},
		"cut_after_a_tag": {`<updates><update type="security">`, "line 1, column 34 (updates > update): the file ends here", format.Limits{}, gate.ErrInvalid},
		"cut_in_a_tag":    {`<updates><update typ`, "unexpected EOF", format.Limits{}, gate.ErrInvalid},
		"crossed":         {`<updates><update></updates></update>`, `line 1, column 28 (updates > update): the end of "updates"`, format.Limits{}, gate.ErrInvalid},
		"another":         {`<html></html>`, "the document is <html>, want <updates>", format.Limits{}, gate.ErrInvalid},
		"empty":           {"", "there is no element", format.Limits{}, gate.ErrInvalid},
		"two_documents":   {`<updates/><updates/>`, "a second element", format.Limits{}, gate.ErrInvalid},
		"charset":         {`<?xml version="1.0" encoding="UTF-16"?><updates/>`, `the encoding is "UTF-16", want UTF-8`, format.Limits{}, gate.ErrInvalid},
		"depth":           {`<updates><update>` + deep + `</update></updates>`, "nested more than 64 deep", format.Limits{}, gate.ErrTooLarge},
		"updates":         {update(curl) + " ", "more than 1 updates", format.Limits{Entries: 1}, nil},
		"two_updates":     {`<updates>` + strings.Repeat(`<update/>`, 2) + `</updates>`, "more than 1 updates", format.Limits{Entries: 1}, gate.ErrTooLarge},
		"packages":        {tencent, "more than 2 references and packages", format.Limits{Parts: 2}, gate.ErrTooLarge},
		"text":            {update(`<title>` + strings.Repeat("a", 20_000) + `</title>`), "the text has more than 8KiB", format.Limits{Token: 8192}, gate.ErrTooLarge},
		"attribute":       {`<updates a="` + strings.Repeat("a", 20_000) + `"/>`, "a name, tag or text has more than", format.Limits{Token: 8192}, gate.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := formattest.Collect(updateinfo.Read, c.in, c.limits)
			if c.is == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %v with %q", err, c.is, c.want)
			}
		})
	}
}

// TestRead_sink: an error of the sink ends the reading.
func TestRead_sink(t *testing.T) {
	want := errors.New("full")
	err := updateinfo.Read(strings.NewReader(tencent), format.Limits{}, format.Sink{Entry: func(format.Entry) error { return want }})
	if !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

// TestRead_memory: a file of 6 MB keeps less than a fifth of it in memory.
func TestRead_memory(t *testing.T) {
	one := `<update type="security"><id>HCE2-SA-2024-%d</id><title>` + strings.Repeat("t", 300) + `</title><references><reference type="cve" id="CVE-2024-%d"/></references>` + curl + "</update>\n"
	size, peak, n := formattest.Peak(t, updateinfo.Read, formattest.Large("<updates>", one, "</updates>", 12_000), format.Limits{})
	if n != 12_000 || size < 5<<20 || peak > size/5 {
		t.Errorf("%d entries; %d bytes were read, %d kept", n, size, peak)
	}
}

func FuzzRead(f *testing.F) {
	formattest.Fuzz(f, updateinfo.Read, tencent, update(curl), `<!DOCTYPE a [<!ENTITY b "c">]><updates/>`, tencent[:700])
}
