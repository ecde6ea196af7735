# A grace period: teams get seven days from the moment this gate first knew of
# a fixable critical vulnerability in the image.
package digestgate

grace_seconds := 7 * 24 * 3600

deny contains {"rule": "critical-after-grace", "msg": message(v, "has been known for more than seven days"), "findings": [v.id]} if {
	some v in fixable_criticals
	input.nowUnix - v.firstSeenUnix > grace_seconds
}

warn contains {"rule": "critical-in-grace", "msg": message(v, "keeps the image out seven days after it was first seen"), "findings": [v.id]} if {
	some v in fixable_criticals
	input.nowUnix - v.firstSeenUnix <= grace_seconds
}

fixable_criticals := [v |
	some v in input.findings.vulnerabilities
	v.severity == "CRITICAL"
	v.fixedVersion != ""
]

message(v, words) := sprintf("%s in %s %s %s; upgrade it to %s", [v.id, v.package, v.installedVersion, words, v.fixedVersion])
