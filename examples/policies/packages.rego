# Packages that no image may have, whatever the advisories say of them.
package digestgate

banned := {
	"xz-utils": {"5.6.0-0.2", "5.6.1-1"},
	"liblzma5": {"5.6.0-0.2", "5.6.1-1"},
}

deny contains {"rule": "banned-package", "msg": sprintf("%s %s is banned; use another version", [p.name, p.version])} if {
	some p in input.packages
	p.version in banned[p.name]
}
