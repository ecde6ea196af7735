package digestgate_test

import data.digestgate.deny
import data.digestgate.testing

run(labels, repository) := testing.image({
	"event": "admission",
	"image": {"repository": repository},
	"request": {"namespace": "shop", "namespaceLabels": labels},
})

test_production_takes_releases_only if {
	"production-source" in {r.rule | some r in deny} with input as run({"environment": "production"}, "library/web")
	not "production-source" in {r.rule | some r in deny} with input as run({"environment": "production"}, "release/web")
}

test_elsewhere_anything_goes if {
	every labels in [{}, {"environment": "test"}] {
		not "production-source" in {r.rule | some r in deny} with input as run(labels, "library/web")
	}
}
