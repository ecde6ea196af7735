package digestgate_test

import data.digestgate.testing
import data.digestgate.warn

aged(hours) := testing.image({"scan": {"advisories": {"ageHours": hours}}})

test_data_of_a_week_passes if {
	count(warn) == 0 with input as aged(168)
}

test_older_data_is_a_warning if {
	some reason in warn with input as aged(240)
	reason.rule == "advisory-age"
	startswith(reason.msg, "the vulnerability data is 10 days old")
}

test_data_of_unknown_age_is_a_warning if {
	some reason in warn with input as aged(-1)
	reason.msg == "the age of the vulnerability data is not known"
}
