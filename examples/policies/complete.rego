# The engine itself refuses a risk that was looked at only partly. A risk that
# nothing looks at (notLookedAt) passes, because the configuration says so; this
# rule makes it visible.
package digestgate

watched := ["vulnerabilities", "secrets"]

warn contains {"rule": "not-looked-at", "msg": sprintf("nothing looked for %s: %s", [risk, input.scan.risks[risk].reason])} if {
	some risk in watched
	input.scan.risks[risk].coverage == "notLookedAt"
}
