# Packages that the vulnerability data says nothing about: they come from
# somewhere else than the distribution, or have a version or a kind that cannot
# be compared. No finding in them means nothing.
package digestgate

warn contains {
	"rule": "gaps",
	"msg": sprintf(
		"the vulnerability data does not cover %s: %s; look for their vulnerabilities elsewhere, or use packages that it covers",
		[packages(count(named)), listed({label | some g in named; label := concat(" ", [part | some part in [g.package, g.version, g.reason]; part != ""])})],
	),
} if {
	named := [g | some g in input.scan.gaps; g.package != ""]
	count(named) > 0
}

# A long list of gaps ends in one that only counts; without a name it says what it
# says.
warn contains {"rule": "gaps", "msg": sprintf("the vulnerability data does not cover more packages than are listed: %s", [g.reason])} if {
	some g in input.scan.gaps
	g.package == ""
}

packages(n) := "1 package" if n == 1

packages(n) := sprintf("%d packages", [n]) if n != 1
