# Secrets. Whoever can pull the image has them; taking the file out in a later
# layer does not take it out of the image.
package digestgate

deny contains {
	"rule": "secret",
	"msg": sprintf(
		"%s in %s line %d; remove it from the build, and replace the secret, since everybody who could pull the image has it",
		[s.title, s.path, s.startLine],
	),
	"findings": [s.rule],
} if {
	some s in input.findings.secrets
	s.severity in {"CRITICAL", "HIGH"}
}

# Lesser rules find much that is no secret (test keys, examples).
warn contains {
	"rule": "possible-secret",
	"msg": sprintf("%s in %s line %d; check whether it is a real secret", [s.title, s.path, s.startLine]),
	"findings": [s.rule],
} if {
	some s in input.findings.secrets
	s.severity in {"MEDIUM", "LOW", "UNKNOWN"}
}
