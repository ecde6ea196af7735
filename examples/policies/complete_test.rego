package digestgate_test

import data.digestgate.testing
import data.digestgate.warn

test_everything_was_looked_at if {
	not "not-looked-at" in {r.rule | some r in warn} with input as testing.image({})
}

test_secrets_were_not_looked_at if {
	some r in warn with input as testing.image({"scan": {"risks": {"secrets": {"coverage": "notLookedAt", "reason": "turned off"}}}})
	r.msg == "nothing looked for secrets: turned off"
}
