package digestgate_test

import data.digestgate.deny
import data.digestgate.testing

with_package(name, version) := testing.image({"packages": [testing.installed({"name": name, "version": version})]})

test_banned_version if {
	"banned-package" in {r.rule | some r in deny} with input as with_package("xz-utils", "5.6.1-1")
}

test_other_version if {
	not "banned-package" in {r.rule | some r in deny} with input as with_package("xz-utils", "5.4.5-1")
}
