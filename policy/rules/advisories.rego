# The age of the advisory data. The configuration decides with advisories.stale
# whether old data refuses images; this rule says it in any case when the data
# is a week old, or of unknown age.
package digestgate

warn contains {
	"rule": "advisory-age",
	"msg": sprintf("the vulnerability data is %d days old (%s); vulnerabilities published since are not known", [days, input.scan.advisories.updatedAt]),
} if {
	input.scan.advisories.ageHours > 7 * 24
	days := floor(input.scan.advisories.ageHours / 24)
}

warn contains {
	"rule": "advisory-age",
	"msg": "the age of the vulnerability data is not known",
} if {
	input.scan.advisories.ageHours < 0
}
