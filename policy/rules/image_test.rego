package digestgate_test

import data.digestgate.deny
import data.digestgate.testing
import data.digestgate.warn

test_root_user_is_a_warning if {
	as_root := testing.image({"image": {"config": {"user": "", "runsAsRoot": true}}})
	count(deny) == 0 with input as as_root
	{r.rule | some r in warn} == {"root-user"} with input as as_root
}
