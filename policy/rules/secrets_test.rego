package digestgate_test

import data.digestgate.deny
import data.digestgate.testing
import data.digestgate.warn

with_secret(severity) := testing.image({"findings": {"secrets": [testing.secret({"severity": severity})]}})

test_secret_is_denied_with_its_place if {
	every severity in ["CRITICAL", "HIGH"] {
		some reason in deny with input as with_secret(severity)
		reason.rule == "secret"
		startswith(reason.msg, "AWS Access Key ID in app/.env line 3;")
	}
}

test_possible_secret_is_a_warning if {
	every severity in ["MEDIUM", "LOW", "UNKNOWN"] {
		count(deny) == 0 with input as with_secret(severity)
		count(warn) == 1 with input as with_secret(severity)
	}
}
