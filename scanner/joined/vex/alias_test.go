package vex

import (
	"testing"

	"github.com/digestgate/digestgate/gate"
)

var oci = "pkg:oci/app@" + string(image)

// TestAliases: a statement about one name of a flaw is about a finding under another name,
// in both directions; what is known by an advisory needs the advisory's own name.
func TestAliases(t *testing.T) {
	const net, curl = "pkg:golang/golang.org/x/net@v0.40.0", "pkg:rpm/suse/curl@8.0.1-150400.5.44.1"
	for name, c := range map[string]struct {
		stated string
		v      gate.Vulnerability
		want   bool
	}{
		"cve_and_ghsa_finding":      {"CVE-2026-0001", gate.Vulnerability{ID: "GHSA-aaaa-bbbb-cccc", Aliases: []string{"CVE-2026-0001"}, PURL: net}, true},
		"ghsa_and_cve_finding":      {"GHSA-aaaa-bbbb-cccc", gate.Vulnerability{ID: "CVE-2026-0001", Aliases: []string{"GHSA-aaaa-bbbb-cccc", "GO-2026-1"}, PURL: net}, true},
		"go_and_ghsa_finding":       {"go-2026-1", gate.Vulnerability{ID: "GHSA-aaaa-bbbb-cccc", Aliases: []string{"CVE-2026-0001", "GO-2026-1"}, PURL: net}, true},
		"another_cve":               {"CVE-2026-0002", gate.Vulnerability{ID: "GHSA-aaaa-bbbb-cccc", Aliases: []string{"CVE-2026-0001"}, PURL: net}, false},
		"stored_without_aliases":    {"CVE-2026-0001", gate.Vulnerability{ID: "GHSA-aaaa-bbbb-cccc", PURL: net}, false},
		"one_of_two_cves":           {"CVE-2026-0001", gate.Vulnerability{ID: "GHSA-aaaa-bbbb-cccc", Aliases: []string{"CVE-2026-0001", "CVE-2026-0002"}, PURL: net}, false},
		"advisory_by_a_cve_of_it":   {"CVE-2026-0001", gate.Vulnerability{ID: "SUSE-SU-2026:0001-1", Aliases: []string{"CVE-2026-0001"}, PURL: curl}, false},
		"advisory_by_its_own_name":  {"SUSE-SU-2026:0001-1", gate.Vulnerability{ID: "SUSE-SU-2026:0001-1", Aliases: []string{"CVE-2026-0001", "CVE-2026-0002"}, PURL: curl}, true},
		"another_component_by_name": {"CVE-2026-0001", gate.Vulnerability{ID: "GHSA-aaaa-bbbb-cccc", Aliases: []string{"CVE-2026-0001"}, PURL: "pkg:golang/golang.org/x/text@v0.40.0"}, false},
	} {
		component := net
		if c.v.PURL == curl {
			component = curl
		}
		if got := hides(t, openvexDoc(openvexStatement(c.stated, notAffected, product(oci, component))), &c.v); got != c.want {
			t.Errorf("%s: hidden %t, want %t", name, got, c.want)
		}
	}
	// What takes a statement back may use any name.
	back := openvexStatement("SUSE-SU-2026:0001-1", notAffected, product(oci, curl)) + "," + openvexStatement("CVE-2026-0002", affected, product(oci, curl))
	if hides(t, openvexDoc(back), &gate.Vulnerability{ID: "SUSE-SU-2026:0001-1", Aliases: []string{"CVE-2026-0001", "CVE-2026-0002"}, PURL: curl}) {
		t.Error("an advisory is hidden although one of its CVEs is said to affect")
	}
}

// TestApplicationsWithComponents: a statement about a component of an application counts
// where the file of the application says that it has the component, and nowhere else.
func TestApplicationsWithComponents(t *testing.T) {
	const net, app = "pkg:golang/golang.org/x/net@v0.40.0", "pkg:golang/example.com/app@v1.2.3"
	statement := openvexStatement("CVE-2026-0001", notAffected, product(app, "pkg:golang/golang.org/x/net"))
	for name, c := range map[string]struct {
		root, purl string
		want       bool
	}{
		"part_of_it":        {app, net, true},
		"of_another":        {"pkg:golang/example.com/other@v1.2.3", net, false},
		"another_version":   {"pkg:golang/example.com/app@v1.2.4", net, false},
		"without_a_version": {"pkg:golang/example.com/app", net, false},
		"no_root":           {"", net, false},
		"another_component": {app, "pkg:golang/golang.org/x/text@v0.40.0", false},
		"it_itself":         {app, app, false},
	} {
		v := finding("CVE-2026-0001", c.purl)
		v.Root = c.root
		if got := hides(t, openvexDoc(statement), v); got != c.want {
			t.Errorf("%s: hidden %t, want %t", name, got, c.want)
		}
		if hidesOf(t, openvexDoc(statement), v, false) {
			t.Errorf("%s: the name that the image gives itself hides, and the operator did not ask for it", name)
		}
	}
	v := finding("CVE-2026-0001", net)
	if hides(t, openvexDoc(openvexStatement("CVE-2026-0001", notAffected, product(net))+","+openvexStatement("CVE-2026-0001", affected, product(app, net))), v) {
		t.Error("a component that is said to affect in one application is hidden")
	}
}
