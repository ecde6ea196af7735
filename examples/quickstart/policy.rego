# What may run here. Docs: docs/policies.md; try a change with
# `digestgate policy test .` before the server sees it.
package digestgate

deny contains {"rule": "fixable-critical", "msg": msg, "findings": [v.id]} if {
	some v in input.findings.vulnerabilities
	v.severity == "CRITICAL"
	v.fixedVersion != ""
	msg := sprintf("%s in %s %s has a fix; upgrade it to %s", [v.id, v.package, v.installedVersion, v.fixedVersion])
}

warn contains {"rule": "root-user", "msg": "the image runs as root; set USER in its Dockerfile"} if {
	input.image.config.runsAsRoot
}
