package digestgate_test

import data.digestgate.testing
import data.digestgate.warn

test_source_is_named if {
	not "source-label" in {r.rule | some r in warn} with input as testing.image({})
}

test_source_is_empty if {
	"source-label" in {r.rule | some r in warn} with input as testing.image({"image": {"config": {"labels": {"org.opencontainers.image.source": ""}}}})
}

test_no_label if {
	nameless := json_without_labels(testing.image({}))
	"source-label" in {r.rule | some r in warn} with input as nameless
}

json_without_labels(total) := object.union(
	object.remove(total, ["image"]),
	{"image": object.union(object.remove(total.image, ["config"]), {"config": object.union(object.remove(total.image.config, ["labels"]), {"labels": {}})})},
)
