package digestgate_test

import data.digestgate.deny
import data.digestgate.testing
import data.digestgate.warn

image(vulnerabilities) := testing.image({"findings": {"vulnerabilities": vulnerabilities}})

rules(reasons) := {r.rule | some r in reasons}

test_clean_image_passes if {
	count(deny) == 0 with input as testing.image({})
	count(warn) == 0 with input as testing.image({})
}

test_fixable_critical_is_denied_with_package_and_versions if {
	some reason in deny with input as image([testing.vulnerability({
		"id": "CVE-1", "package": "libssl3", "severity": "CRITICAL",
		"installedVersion": "3.0.1", "fixedVersion": "3.0.2",
	})])
	reason.rule == "fixable-critical"
	reason.msg == "libssl3 3.0.1 has 1 fixable critical vulnerability: CVE-1; upgrade it to 3.0.2"
	reason.findings == {"CVE-1"}
}

test_one_reason_for_each_package if {
	found := [
		testing.vulnerability({"id": "CVE-1", "package": "a"}),
		testing.vulnerability({"id": "CVE-2", "package": "a"}),
		testing.vulnerability({"id": "CVE-3", "package": "b"}),
	]
	count(deny) == 2 with input as image(found)
}

test_message_lists_three_ids if {
	found := [testing.vulnerability({"id": id, "path": "app/x.jar"}) |
		some id in ["CVE-4", "CVE-2", "CVE-3", "CVE-1", "CVE-5"]
	]
	some reason in deny with input as image(found)
	contains(reason.msg, "in app/x.jar has 5 fixable critical vulnerabilities: CVE-1, CVE-2, CVE-3 and 2 more;")
	count(reason.findings) == 5
}

test_unfixed_critical_is_a_warning if {
	found := image([testing.vulnerability({"severity": "CRITICAL", "fixedVersion": ""})])
	count(deny) == 0 with input as found
	rules(warn) == {"unfixed-critical"} with input as found
}

test_fixable_high_is_a_warning if {
	found := image([testing.vulnerability({"severity": "HIGH"})])
	count(deny) == 0 with input as found
	rules(warn) == {"fixable-high"} with input as found
}

test_lower_severities_pass if {
	every severity in ["MEDIUM", "LOW", "UNKNOWN"] {
		found := image([testing.vulnerability({"severity": severity})])
		count(deny) == 0 with input as found
		count(warn) == 0 with input as found
	}
}

test_end_of_life_is_a_warning if {
	rules(warn) == {"end-of-life"} with input as testing.image({"image": {"os": {"family": "debian", "name": "9", "eol": true}}})
}
