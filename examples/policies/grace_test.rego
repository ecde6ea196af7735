package digestgate_test

import data.digestgate.deny
import data.digestgate.testing
import data.digestgate.warn

# The sample's time is the 2nd of November 2026, 10:00 UTC.
seen(days) := testing.image({"findings": {"vulnerabilities": [testing.vulnerability({
	"severity": "CRITICAL",
	"firstSeenUnix": 1793613600 - (days * 24 * 3600),
})]}})

test_within_grace if {
	"critical-in-grace" in {r.rule | some r in warn} with input as seen(6)
	not "critical-after-grace" in {r.rule | some r in deny} with input as seen(6)
}

test_after_grace if {
	"critical-after-grace" in {r.rule | some r in deny} with input as seen(8)
	not "critical-in-grace" in {r.rule | some r in warn} with input as seen(8)
}
