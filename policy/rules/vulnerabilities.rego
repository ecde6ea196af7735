# Vulnerabilities. One reason for each package, so that the message names what
# to upgrade and to which version.
package digestgate

# A critical vulnerability that can be fixed by an upgrade keeps the image out.
deny contains {
	"rule": "fixable-critical",
	"msg": upgrade("critical", name, version, path, group),
	"findings": {id | some [id, _, _] in group},
} if {
	some [name, version, path], group in fixable.CRITICAL
}

# The same for high ones is a warning: most images have some at any time.
warn contains {
	"rule": "fixable-high",
	"msg": upgrade("high", name, version, path, group),
	"findings": {id | some [id, _, _] in group},
} if {
	some [name, version, path], group in fixable.HIGH
}

# A critical vulnerability without a fix: nobody can upgrade, but somebody
# should know.
warn contains {
	"rule": "unfixed-critical",
	"msg": sprintf(
		"%d critical vulnerabilities have no fixed version yet: %s",
		[count(unfixed), listed({label | some found in unfixed; label := sprintf("%s in %s %s", found)})],
	),
	"findings": {id | some [id, _, _] in unfixed},
} if {
	unfixed := [[v.id, v.package, v.installedVersion] |
		some v in input.findings.vulnerabilities
		v.severity == "CRITICAL"
		v.fixedVersion == ""
	]
	count(unfixed) > 0
}

# The release gets no more security updates, so that the absence of
# vulnerabilities says little.
warn contains {
	"rule": "end-of-life",
	"msg": sprintf("%s %s gets no more security updates; move to a supported release", [input.image.os.family, input.image.os.name]),
} if {
	input.image.os.eol
}

# fixable groups what an upgrade repairs by severity and by package. It collects what
# the messages need and not v itself: images in which that is the same share a decision.
fixable[v.severity][[v.package, v.installedVersion, v.path]] contains [v.id, v.packageID, v.fixedVersion] if {
	some v in input.findings.vulnerabilities
	v.severity in {"CRITICAL", "HIGH"}
	v.fixedVersion != ""
}

# upgrade is the message for one package: at most three ids, and the versions
# that fix them.
upgrade(word, name, version, path, group) := sprintf(
	"%s %s%s has %d fixable %s: %s; upgrade it to %s",
	[
		name, version, place(path), count(group), plural(word, count(group)),
		listed({id | some [id, _, _] in group}), listed({fixed | some [_, _, fixed] in group}),
	],
)

place(path) := "" if path == ""

place(path) := sprintf(" in %s", [path]) if path != ""

plural(word, n) := sprintf("%s vulnerability", [word]) if n == 1

plural(word, n) := sprintf("%s vulnerabilities", [word]) if n != 1

# listed shows at most three of a set.
listed(items) := concat(", ", items) if count(items) <= 3

listed(items) := sprintf("%s and %d more", [concat(", ", array.slice(sort(items), 0, 3)), count(items) - 3]) if count(items) > 3
