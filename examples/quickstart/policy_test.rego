package digestgate_test

import data.digestgate.deny
import data.digestgate.testing
import data.digestgate.warn

found(vulnerability) := testing.image({"findings": {"vulnerabilities": [testing.vulnerability(vulnerability)]}})

test_fixable_critical_is_denied if {
	some reason in deny with input as found({"severity": "CRITICAL", "fixedVersion": "1.2"})
	reason.rule == "fixable-critical"
}

test_critical_without_a_fix_passes if {
	count(deny) == 0 with input as found({"severity": "CRITICAL", "fixedVersion": ""})
}

test_fixable_high_passes if {
	count(deny) == 0 with input as found({"severity": "HIGH", "fixedVersion": "1.2"})
}

test_root_is_a_warning if {
	{r.rule | some r in warn} == {"root-user"} with input as testing.image({"image": {"config": {"user": "", "runsAsRoot": true}}})
}
