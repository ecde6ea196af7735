package digestgate_test

import data.digestgate.deny
import data.digestgate.testing

run(namespace, repository) := testing.image({
	"event": "admission",
	"image": {"repository": repository},
	"request": {"namespace": namespace},
})

test_production_takes_releases_only if {
	every namespace in ["shop", "payments", "prod-eu"] {
		"production-source" in {r.rule | some r in deny} with input as run(namespace, "library/web")
		not "production-source" in {r.rule | some r in deny} with input as run(namespace, "release/web")
	}
}

test_elsewhere_anything_goes if {
	every namespace in ["", "test", "workshop"] {
		not "production-source" in {r.rule | some r in deny} with input as run(namespace, "library/web")
	}
}
