package vex

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

var (
	now     = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	image   = gate.Digest("sha256:" + strings.Repeat("a", 64))
	another = gate.Digest("sha256:" + strings.Repeat("b", 64))
)

// openvexDoc is a document of one statement.
func openvexDoc(statement string) string {
	return `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1", "author": "Acme Security", "timestamp": "2026-11-01T10:00:00Z", "version": 1, "statements": [` + statement + `]}`
}

func openvexStatement(id, status, products string) string {
	more := `, "justification": "vulnerable_code_not_in_execute_path"`
	switch status {
	case affected:
		more = `, "action_statement": "upgrade"`
	case fixed, underInvestigation:
		more = ""
	}
	return `{"vulnerability": {"name": "` + id + `"}, "status": "` + status + `"` + more + `, "products": [` + products + `]}`
}

const libssl = "pkg:deb/debian/libssl3@3.0.14-1~deb12u2?arch=amd64&distro=debian-12.5"

// finding is one of the image.
func finding(id, purl string) *gate.Vulnerability {
	return &gate.Vulnerability{ID: id, Package: "x", PURL: purl, Severity: gate.SeverityCritical}
}

// hides reads a document as a source that counts everywhere, and says whether it hides a
// finding of the image.
func hides(t *testing.T, text string, v *gate.Vulnerability) bool {
	t.Helper()
	return hidesOf(t, text, v, true)
}

// hidesOf is hides for a source whose statements about applications count, or do not.
func hidesOf(t *testing.T, text string, v *gate.Vulnerability, applications bool) bool {
	t.Helper()
	doc, err := Parse([]byte(text), now)
	if err != nil {
		t.Fatal(err)
	}
	x := NewIndex(&Table{Sources: []Source{{Name: "acme", Repositories: []string{"**"}, MaxAge: 100 * 24 * time.Hour, Applications: applications, Document: *doc}}})
	_, ok := x.Hides(gate.Whereabouts{Digest: image, Location: gate.Location{Registry: "prod", Repository: "team/a"}}, v, now)
	return ok
}

func product(purl string, components ...string) string {
	var list []string
	for _, c := range components {
		list = append(list, `{"@id": "`+c+`"}`)
	}
	return `{"@id": "` + purl + `", "subcomponents": [` + strings.Join(list, ",") + `]}`
}

func TestOpenVEX(t *testing.T) {
	oci := "pkg:oci/app@" + string(image) + "?repository_url=harbor.example.com/team/a"
	escaped := "pkg:oci/app@" + strings.Replace(string(image), ":", "%3A", 1)
	for _, c := range []struct {
		name, statement string
		id, purl        string
		want            bool
		refused         string
	}{
		{"digest_and_component", openvexStatement("CVE-2026-0001", notAffected, product(oci, libssl)), "CVE-2026-0001", libssl, true, ""},
		{"escaped_digest", openvexStatement("CVE-2026-0001", notAffected, product(escaped, libssl)), "CVE-2026-0001", libssl, true, ""},
		{"case_of_the_id", openvexStatement("cve-2026-0001", notAffected, product(oci, libssl)), "CVE-2026-0001", libssl, true, ""},
		{"case_of_the_finding", openvexStatement("CVE-2026-0001", notAffected, product(oci, libssl)), "cve-2026-0001", libssl, true, ""},
		{"component_without_version", openvexStatement("CVE-2026-0001", notAffected, product(oci, "pkg:deb/debian/libssl3")), "CVE-2026-0001", libssl, true, ""},
		{"another_component", openvexStatement("CVE-2026-0001", notAffected, product(oci, "pkg:deb/debian/zlib1g@1.2")), "CVE-2026-0001", libssl, false, ""},
		{"another_version", openvexStatement("CVE-2026-0001", notAffected, product(oci, "pkg:deb/debian/libssl3@3.0.13")), "CVE-2026-0001", libssl, false, ""},
		{"another_vulnerability", openvexStatement("CVE-2026-0002", notAffected, product(oci, libssl)), "CVE-2026-0001", libssl, false, ""},
		{"another_image", openvexStatement("CVE-2026-0001", notAffected, product("pkg:oci/app@"+string(another), libssl)), "CVE-2026-0001", libssl, false, ""},
		{"a_qualifier_that_fits", openvexStatement("CVE-2026-0001", notAffected, product("pkg:deb/debian/libssl3@3.0.14-1~deb12u2?arch=amd64")), "CVE-2026-0001", libssl, true, ""},
		{"a_qualifier_that_does_not", openvexStatement("CVE-2026-0001", notAffected, product("pkg:deb/debian/libssl3@3.0.14-1~deb12u2?arch=arm64")), "CVE-2026-0001", libssl, false, ""},
		{"a_qualifier_that_is_missing", openvexStatement("CVE-2026-0001", notAffected, product(libssl)), "CVE-2026-0001", "pkg:deb/debian/libssl3@3.0.14-1~deb12u2", false, ""},
		{"a_versioned_package", openvexStatement("CVE-2026-0001", notAffected, product("pkg:golang/golang.org/x/net@0.40.0")), "CVE-2026-0001", "pkg:golang/golang.org/x/net@v0.40.0", true, ""},
		{"under_investigation", openvexStatement("CVE-2026-0001", underInvestigation, product(oci, libssl)), "CVE-2026-0001", libssl, false, ""},
		{"affected", openvexStatement("CVE-2026-0001", affected, product(oci, libssl)), "CVE-2026-0001", libssl, false, ""},
		{"fixed_of_a_distribution", openvexStatement("CVE-2026-0001", fixed, product(oci, libssl)), "CVE-2026-0001", libssl, false, ""},
		{"fixed_of_an_application", openvexStatement("CVE-2026-0001", fixed, product(oci, "pkg:npm/left-pad@1.0.0")), "CVE-2026-0001", "pkg:npm/left-pad@1.0.0", true, ""},

		{"image_without_component", openvexStatement("CVE-2026-0001", notAffected, product(oci)), "CVE-2026-0001", libssl, false, noComponent},
		{"image_by_tag", openvexStatement("CVE-2026-0001", notAffected, product("pkg:oci/app@v1", libssl)), "CVE-2026-0001", libssl, false, looseProduct},
		{"image_without_digest", openvexStatement("CVE-2026-0001", notAffected, product("pkg:oci/app", libssl)), "CVE-2026-0001", libssl, false, looseProduct},
		{"package_without_version", openvexStatement("CVE-2026-0001", notAffected, product("pkg:deb/debian/libssl3")), "CVE-2026-0001", libssl, false, looseProduct},
		{"package_of_any_version", openvexStatement("CVE-2026-0001", notAffected, product("pkg:deb/debian/libssl3@*")), "CVE-2026-0001", libssl, false, looseProduct},
		{"a_name", openvexStatement("CVE-2026-0001", notAffected, product("everything", libssl)), "CVE-2026-0001", libssl, false, looseProduct},
		{"no_product", openvexStatement("CVE-2026-0001", notAffected, ""), "CVE-2026-0001", libssl, false, noProduct},
		{"an_empty_product", openvexStatement("CVE-2026-0001", notAffected, `{}`), "CVE-2026-0001", libssl, false, noProduct},
		{"an_empty_component", openvexStatement("CVE-2026-0001", notAffected, `{"@id": "`+oci+`", "subcomponents": [{}]}`), "CVE-2026-0001", libssl, false, looseComponent},
		{"an_image_as_component", openvexStatement("CVE-2026-0001", notAffected, product(oci, oci)), "CVE-2026-0001", libssl, false, looseComponent},
		{"package_with_components", openvexStatement("CVE-2026-0001", notAffected, product("pkg:golang/example.com/app@v1", libssl)), "CVE-2026-0001", libssl, false, ""},
		{"package_of_a_distribution_with_components", openvexStatement("CVE-2026-0001", notAffected, product("pkg:apk/wolfi/git@2.38.1", libssl)), "CVE-2026-0001", libssl, false, nestedProduct},
		{"package_without_version_with_components", openvexStatement("CVE-2026-0001", notAffected, product("pkg:golang/example.com/app", libssl)), "CVE-2026-0001", libssl, false, looseProduct},
		{"no_vulnerability", openvexStatement("", notAffected, product(oci, libssl)), "", libssl, false, noVulnerability},
		{"no_justification", `{"vulnerability": {"name": "CVE-2026-0001"}, "status": "not_affected", "products": [` + product(oci, libssl) + `]}`, "CVE-2026-0001", libssl, false, noJustification},
		{"a_justification_of_its_own", `{"vulnerability": {"name": "CVE-2026-0001"}, "status": "not_affected", "justification": "trust_me", "products": [` + product(oci, libssl) + `]}`, "CVE-2026-0001", libssl, false, noJustification},
		{"another_status", `{"vulnerability": {"name": "CVE-2026-0001"}, "status": "harmless", "products": [` + product(oci, libssl) + `]}`, "CVE-2026-0001", libssl, false, unknownStatus},
		{"of_the_future", `{"vulnerability": {"name": "CVE-2026-0001"}, "timestamp": "2030-01-01T00:00:00Z", "status": "not_affected", "justification": "component_not_present", "products": [` + product(oci, libssl) + `]}`, "CVE-2026-0001", libssl, false, noTime},
		{"another_digest_as_hash", `{"vulnerability": {"name": "CVE-2026-0001"}, "status": "not_affected", "justification": "component_not_present", "products": [{"@id": "` + oci + `", "hashes": {"sha-256": "` + another.Hex() + `"}, "subcomponents": [{"@id": "` + libssl + `"}]}]}`, "CVE-2026-0001", libssl, false, looseProduct},
		{"a_digest_as_hash", `{"vulnerability": {"name": "CVE-2026-0001"}, "status": "not_affected", "justification": "component_not_present", "products": [{"@id": "app", "hashes": {"sha-256": "` + image.Hex() + `"}, "subcomponents": [{"identifiers": {"purl": "` + libssl + `"}}]}]}`, "CVE-2026-0001", libssl, true, ""},
		{"an_alias", `{"vulnerability": {"name": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2026-0001"]}, "status": "not_affected", "justification": "component_not_present", "products": [` + product(oci, libssl) + `]}`, "CVE-2026-0001", libssl, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := openvexDoc(c.statement)
			if got := hides(t, text, finding(c.id, c.purl)); got != c.want {
				t.Errorf("hidden: %t, want %t", got, c.want)
			}
			doc, err := Parse([]byte(text), now)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]int{}
			if c.refused != "" {
				want[c.refused] = 1
			}
			if diff := cmp.Diff(want, doc.Refused); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLastWordCounts: a later statement of a source replaces an earlier one, in whatever
// order they are written.
func TestLastWordCounts(t *testing.T) {
	at := func(status, time string) string {
		s := openvexStatement("CVE-2026-0001", status, product("pkg:oci/app@"+string(image), libssl))
		return strings.Replace(s, `"status"`, `"timestamp": "`+time+`", "status"`, 1)
	}
	for _, c := range []struct {
		name string
		list []string
		want bool
	}{
		{"later_not_affected", []string{at(underInvestigation, "2026-10-01T00:00:00Z"), at(notAffected, "2026-10-02T00:00:00Z")}, true},
		{"later_affected", []string{at(notAffected, "2026-10-01T00:00:00Z"), at(affected, "2026-10-02T00:00:00Z")}, false},
		{"in_another_order", []string{at(affected, "2026-10-02T00:00:00Z"), at(notAffected, "2026-10-01T00:00:00Z")}, false},
		{"later_of_the_whole_image", []string{at(notAffected, "2026-10-01T00:00:00Z"), strings.Replace(at(affected, "2026-10-02T00:00:00Z"), `, "subcomponents": [{"@id": "`+libssl+`"}]`, "", 1)}, false},
		{"later_of_any_digest", []string{at(notAffected, "2026-10-01T00:00:00Z"), strings.Replace(at(affected, "2026-10-02T00:00:00Z"), "@"+string(image), "", 1)}, false},
		{"later_of_the_future", []string{at(notAffected, "2026-10-01T00:00:00Z"), at(affected, "2030-10-02T00:00:00Z")}, false},
		{"at_one_time", []string{at(notAffected, "2026-10-01T00:00:00Z"), at(affected, "2026-10-01T00:00:00Z")}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := hides(t, openvexDoc(strings.Join(c.list, ",")), finding("CVE-2026-0001", libssl)); got != c.want {
				t.Errorf("hidden: %t, want %t", got, c.want)
			}
		})
	}
}

// TestSourcesCount: in their repositories, until they are too old, and not when another
// says otherwise.
func TestSourcesCount(t *testing.T) {
	read := func(status string) Document {
		doc, err := Parse([]byte(openvexDoc(openvexStatement("CVE-2026-0001", status, product("pkg:oci/app@"+string(image), libssl)))), now)
		if err != nil {
			t.Fatal(err)
		}
		return *doc
	}
	hiding := Source{Name: "a", Repositories: []string{"prod/team/**"}, MaxAge: 60 * 24 * time.Hour, Document: read(notAffected)}
	other := Source{Name: "b", Repositories: []string{"prod/**"}, MaxAge: 40 * 24 * time.Hour, Document: read(affected)}
	for _, c := range []struct {
		name    string
		sources []Source
		place   string
		at      time.Time
		want    bool
	}{
		{"in_scope", []Source{hiding}, "team/a", now, true},
		{"out_of_scope", []Source{hiding}, "shop/a", now, false},
		{"too_old", []Source{hiding}, "team/a", hiding.Until(), false},
		{"just_not_too_old", []Source{hiding}, "team/a", hiding.Until().Add(-time.Second), true},
		{"another_disagrees", []Source{hiding, other}, "team/a", now, false},
		{"the_other_is_too_old", []Source{hiding, other}, "team/a", other.Until(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := NewIndex(&Table{Sources: c.sources})
			s, ok := x.Hides(gate.Whereabouts{Digest: image, Location: gate.Location{Registry: "prod", Repository: c.place}}, finding("CVE-2026-0001", libssl), c.at)
			if ok != c.want {
				t.Fatalf("hidden: %t, want %t", ok, c.want)
			}
			if ok && (s.Source != "a" || s.Author != "Acme Security" || s.Until.IsZero() || s.Justification == "" || !s.At.Equal(hiding.Document.At)) {
				t.Errorf("got %+v", s)
			}
		})
	}
}

const csafDoc = `{"document": {"category": "csaf_vex", "csaf_version": "2.0", "publisher": {"name": "Example Vendor"}, "tracking": {"id": "EX-1", "current_release_date": "2026-11-01T00:00:00Z"}},
 "product_tree": {"branches": [{"branches": [
   {"product": {"product_id": "app", "name": "app", "product_identification_helper": {"purl": "pkg:oci/app@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}},
   {"product": {"product_id": "ssl", "name": "libssl3", "product_identification_helper": {"purl": "pkg:deb/debian/libssl3@3.0.14-1~deb12u2"}}},
   {"product": {"product_id": "any", "name": "libssl3", "product_identification_helper": {"purl": "pkg:deb/debian/libssl3"}}},
   {"product": {"product_id": "cpe", "name": "openEuler", "product_identification_helper": {"cpe": "cpe:/a:openEuler:openEuler:22.03-LTS-SP3"}}}]}],
  "relationships": [{"category": "default_component_of", "product_reference": "ssl", "relates_to_product_reference": "app", "full_product_name": {"product_id": "app:ssl", "name": "x"}},
   {"category": "default_component_of", "product_reference": "any", "relates_to_product_reference": "cpe", "full_product_name": {"product_id": "cpe:any", "name": "x"}}]},
 "vulnerabilities": [{STATEMENT}]}`

func TestCSAF(t *testing.T) {
	flag := func(id string) string {
		return `, "flags": [{"label": "component_not_present", "product_ids": ["` + id + `"]}]`
	}
	for _, c := range []struct {
		name, statement string
		want            bool
		refused         string
	}{
		{"component_of_an_image", `"cve": "CVE-2026-0001", "product_status": {"known_not_affected": ["app:ssl"]}` + flag("app:ssl"), true, ""},
		{"a_package", `"cve": "CVE-2026-0001", "product_status": {"known_not_affected": ["ssl"]}` + flag("ssl"), true, ""},
		{"by_impact", `"cve": "CVE-2026-0001", "product_status": {"known_not_affected": ["ssl"]}, "threats": [{"category": "impact", "details": "not reachable", "product_ids": ["ssl"]}]`, true, ""},
		{"no_cve", `"ids": [{"system_name": "x", "text": "cve-2026-0001"}], "product_status": {"known_not_affected": ["ssl"]}` + flag("ssl"), true, ""},
		{"no_name_at_all", `"product_status": {"known_not_affected": ["ssl"]}` + flag("ssl"), false, noVulnerability},
		{"no_flag", `"cve": "CVE-2026-0001", "product_status": {"known_not_affected": ["ssl"]}`, false, noJustification},
		{"the_whole_image", `"cve": "CVE-2026-0001", "product_status": {"known_not_affected": ["app"]}` + flag("app"), false, noComponent},
		{"any_version", `"cve": "CVE-2026-0001", "product_status": {"known_not_affected": ["any"]}` + flag("any"), false, looseProduct},
		{"no_purl", `"cve": "CVE-2026-0001", "product_status": {"known_not_affected": ["cpe:any"]}` + flag("cpe:any"), false, looseProduct},
		{"unknown_product", `"cve": "CVE-2026-0001", "product_status": {"known_not_affected": ["nobody"]}` + flag("nobody"), false, unknownReference},
		{"fixed", `"cve": "CVE-2026-0001", "product_status": {"fixed": ["app:ssl"]}`, false, ""},
		{"under_investigation", `"cve": "CVE-2026-0001", "product_status": {"under_investigation": ["app:ssl"]}`, false, ""},
		{"both", `"cve": "CVE-2026-0001", "product_status": {"known_not_affected": ["app:ssl"], "known_affected": ["app:ssl"]}` + flag("app:ssl"), false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(csafDoc, "STATEMENT", c.statement, 1)
			if got := hides(t, text, finding("CVE-2026-0001", libssl)); got != c.want {
				t.Errorf("hidden: %t, want %t", got, c.want)
			}
			doc, err := Parse([]byte(text), now)
			if err != nil || c.refused != "" && doc.Refused[c.refused] != 1 || c.refused == "" && doc.RefusedCount() > 0 {
				t.Errorf("refused %v, %v; want %q", doc.Refused, err, c.refused)
			}
		})
	}
}

const cdxDoc = `{"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79", "version": 1,
 "metadata": {"timestamp": "2026-11-01T00:00:00Z", "supplier": {"name": "Example"}IMAGE},
 "components": [{"bom-ref": "ssl", "name": "libssl3", "purl": "pkg:deb/debian/libssl3@3.0.14-1~deb12u2"}],
 "vulnerabilities": [{"id": "CVE-2026-0001", "analysis": {"state": "STATE", "justification": "code_not_reachable"}, "affects": [{"ref": "REF"}]}]}`

func TestCycloneDX(t *testing.T) {
	of := `, "component": {"bom-ref": "app", "name": "app", "purl": "pkg:oci/app@` + string(image) + `"}`
	link := "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:deb/debian/libssl3@3.0.14-1~deb12u2"
	for _, c := range []struct {
		name, image, state, ref string
		want                    bool
		refused                 string
	}{
		{"component_of_the_image", of, "not_affected", "ssl", true, ""},
		{"false_positive", of, "false_positive", "ssl", true, ""},
		{"link_with_a_package", of, "not_affected", link, true, ""},
		{"in_triage", of, "in_triage", "ssl", false, ""},
		{"exploitable", of, "exploitable", "ssl", false, ""},
		{"resolved", of, "resolved", "ssl", false, ""},
		{"the_whole_image", of, "not_affected", "app", false, noComponent},
		{"another_sbom", "", "not_affected", link, false, otherSBOM},
		{"some_versions", of, "not_affected", `ssl", "versions": [{"version": "3.0.13", "status": "unaffected"}], "note": "`, false, someVersions},
		{"its_own_package", "", "not_affected", "ssl", true, ""},
		{"unknown_reference", of, "not_affected", "nobody", false, unknownReference},
		{"unknown_state", of, "fine", "ssl", false, unknownStatus},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.NewReplacer("IMAGE", c.image, "STATE", c.state, "REF", c.ref).Replace(cdxDoc)
			if got := hides(t, text, finding("CVE-2026-0001", libssl)); got != c.want {
				t.Errorf("hidden: %t, want %t", got, c.want)
			}
			doc, err := Parse([]byte(text), now)
			if err != nil || c.refused != "" && doc.Refused[c.refused] != 1 || c.refused == "" && doc.RefusedCount() > 0 {
				t.Errorf("refused %v, %v; want %q", doc.Refused, err, c.refused)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "not_json": "hello", "null": "null", "a_list": "[]", "more_behind": openvexDoc("") + "{}", "another_document": `{"spdxVersion": "SPDX-2.3"}`,
		"no_time":       `{"@context": "https://openvex.dev/ns/v0.2.0", "statements": []}`,
		"future":        strings.Replace(openvexDoc(""), "2026-11-01", "2027-11-01", 1),
		"csaf_depth":    `{"document": {"csaf_version": "2.0", "tracking": {"current_release_date": "2026-11-01T00:00:00Z"}}, "product_tree": {"branches": ` + strings.Repeat(`[{"branches": `, 100) + "[]" + strings.Repeat(`}]`, 100) + "}}",
		"cdx_no_time":   `{"bomFormat": "CycloneDX"}`,
		"key_twice":     strings.Replace(openvexDoc(openvexStatement("CVE-2026-0001", affected, product(libssl))), `"status"`, `"Status": "not_affected", "status"`, 1),
		"csaf_id_twice": strings.Replace(strings.Replace(csafDoc, "STATEMENT", `"cve": "CVE-2026-0001"`, 1), `"product_id": "any"`, `"product_id": "ssl"`, 1),
		"cdx_ref_twice": strings.NewReplacer("IMAGE", "", "STATE", "exploitable", "REF", "ssl", `"components": [`, `"components": [{"bom-ref": "ssl", "name": "other"},`).Replace(cdxDoc),
		"deep":          strings.Replace(openvexDoc(""), `"statements"`, `"x": `+strings.Repeat("[", 300)+strings.Repeat("]", 300)+`, "statements"`, 1),
		"bad_types":     `{"@context": "https://openvex.dev/ns/v0.2.0", "timestamp": 5}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(text), now); !errors.Is(err, gate.ErrInvalid) {
				t.Errorf("got %v, want an invalid one", err)
			}
		})
	}
}

func TestChanged(t *testing.T) {
	table := func(ids ...string) *Table {
		var list []string
		for _, id := range ids {
			list = append(list, openvexStatement(id, notAffected, product("pkg:oci/app@"+string(image), libssl)))
		}
		list = append(list, openvexStatement("CVE-2020-0001", notAffected, product(libssl)))
		doc, err := Parse([]byte(openvexDoc(strings.Join(list, ","))), now)
		if err != nil {
			t.Fatal(err)
		}
		return &Table{Sources: []Source{{Name: "a", Repositories: []string{"**"}, MaxAge: time.Hour, Document: *doc}}}
	}
	got := Changed(table("CVE-2026-0001", "CVE-2026-0002"), table("CVE-2026-0002", "CVE-2026-0003"))
	if want := []Change{{"CVE-2026-0001", image}, {"CVE-2026-0003", image}}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := fmt.Sprint(Changed(nil, table())); got != "[{CVE-2020-0001 }]" {
		t.Errorf("against none: got %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(openvexDoc(openvexStatement("CVE-2026-0001", notAffected, product("pkg:oci/app@"+string(image), libssl)))))
	f.Add([]byte(strings.Replace(csafDoc, "STATEMENT", `"product_status": {"known_not_affected": ["ssl", "app:ssl"]}`, 1)))
	f.Add([]byte(strings.NewReplacer("IMAGE", "", "STATE", "not_affected", "REF", "ssl").Replace(cdxDoc)))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := Read(text, now)
		if err != nil {
			return
		}
		for _, s := range doc.Statements {
			component, versioned := s.Component, s.Digest != ""
			if s.Inside != nil {
				component = s.Inside.Component
				app, _ := parsePURL(s.Inside.Application)
				versioned = app.versioned()
			}
			if p, ok := parsePURL(component); s.hides() && (!ok || !versioned && !p.versioned()) {
				t.Errorf("a statement about %+v counts", s)
			}
		}
		NewIndex(&Table{Sources: []Source{{Repositories: []string{"**"}, MaxAge: time.Hour, Document: *doc}}}).
			Hides(gate.Whereabouts{Digest: image}, finding("CVE-2026-0001", libssl), now)
	})
}
