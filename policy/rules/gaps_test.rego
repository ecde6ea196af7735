package digestgate_test

import data.digestgate.deny
import data.digestgate.testing
import data.digestgate.warn

with_gaps(gaps) := testing.image({"scan": {"gaps": gaps}})

gap(name) := {"package": name, "version": "1.0-1", "reason": "comes from a third party"}

test_no_gap_passes if {
	count(warn) == 0 with input as with_gaps([])
}

test_a_gap_is_a_warning_with_package_and_reason if {
	some reason in warn with input as with_gaps([gap("docker-ce")])
	reason.rule == "gaps"
	startswith(reason.msg, "the vulnerability data does not cover 1 package: docker-ce 1.0-1 comes from a third party; ")
	count(deny) == 0 with input as with_gaps([gap("docker-ce")])
}

test_a_gap_without_a_version_has_no_hole_in_its_place if {
	some reason in warn with input as with_gaps([{"package": "example.com/app", "version": "", "reason": "has no version"}])
	startswith(reason.msg, "the vulnerability data does not cover 1 package: example.com/app has no version; ")
}

test_many_gaps_are_one_warning_with_three_of_them if {
	found := [gap(name) | some name in ["a", "b", "c", "d", "e"]]
	count(warn) == 1 with input as with_gaps(found)
	some reason in warn with input as with_gaps(found)
	startswith(reason.msg, "the vulnerability data does not cover 5 packages: a 1.0-1 comes")
	contains(reason.msg, " and 2 more; ")
}

test_the_count_at_the_end_of_a_list_is_said if {
	found := [gap("a"), {"package": "", "version": "", "reason": "and 7 more packages"}]
	some reason in warn with input as with_gaps(found)
	reason.msg == "the vulnerability data does not cover more packages than are listed: and 7 more packages"
}
