# Conditions that decide something, as people write them: all of it must load.
package digestgate

import data.lib.names

deny contains "1" if not input.image.config.runsAsRoot
deny contains "2" if input.image.os.eol
deny contains "3" if not input.image.config.labels.team
deny contains "4" if not input.image.config.labels["org.opencontainers.image.source"]
deny contains "5" if input.image.config.labels.debug
deny contains "6" if not input.image.tags[0]
deny contains "7" if input.image.tags[_]
deny contains "8" if { some v in input.findings.vulnerabilities; not v.id in allowed; v.severity in {"HIGH", "CRITICAL"} }
deny contains "9" if { some v in input.findings.vulnerabilities; not allowed[v.id] }
deny contains "10" if { some v in input.findings.vulnerabilities; exempt[v.id] }
deny contains "11" if { not trusted }
deny contains "12" if { not startswith(input.image.repository, "release/") }
deny contains "13" if { not is_prod(input.request.namespace) }
deny contains "14" if { some p in input.packages; p.dev; not p.indirect }
deny contains "15" if { count([v | some v in input.findings.vulnerabilities; v.fixedVersion != ""]) > 3 }
deny contains "16" if { not any_release }
deny contains "17" if { input.image.config.user in {"", "0", "root"} }
deny contains "18" if { every t in input.image.tags { t != "latest" } }
deny contains "19" if { not regex.match("^v[0-9]", input.image.tags[0]) }
deny contains "20" if { object.get(input.image.config.labels, "approved", false) }
deny contains "21" if { not object.get(exempt, "a", false) }
deny contains "22" if { m := max([v.cvss | some v in input.findings.vulnerabilities]); m >= 9 }
deny contains "23" if { not max_cvss(input.findings.vulnerabilities) }
deny contains msg if { some v in input.findings.vulnerabilities; msg := message(v) }
deny contains "25" if { b := input.image.os.eol; b }
deny contains "26" if { x := json.unmarshal(input.image.config.labels.meta); not x.signed }
deny contains "27" if { x := json.unmarshal(input.image.config.labels.meta); x.signed }
deny contains "28" if { some e in input.image.config.env; [k, _] := split(e, "="); k == "DEBUG" }
deny contains "29" if { parts := split(input.image.repository, "/"); not parts[1] }
deny contains "30" if { parts := split(input.image.repository, "/"); parts[2] }
deny contains "31" if { not fixed_in_time(input.findings.vulnerabilities[0]) }
deny contains "32" if { not empty(input.image.config.user); not empty(input.image.tags) }
deny contains "33" if true
deny contains "34" if { some name; exempt[name]; name == input.image.repository }
deny contains "35" if { print(input.image.size); input.image.size > 1 }
deny contains "36" if { walk(input.image.config, [_, "secret"]) }
deny contains "37" if { reason }
deny contains "38" if { not reason }
deny contains "39" if { is_string(input.image.config.user); not is_null(input.image.digest) }
deny contains "40" if { limits[input.request.namespace]; input.image.ageHours > limits[input.request.namespace] }
deny contains "41" if { not limits[input.request.namespace] }
deny contains "42" if { not names.ok(input.image.host) }
deny contains {"rule": "43", "msg": sprintf("%s is %.1f hours old, %v, %d bytes, %5.2f%%", [input.image.digest, input.image.ageHours, input.image.tags, input.image.size, input.findings.vulnerabilities[0].cvss])} if { input.image.size > 9 }
deny contains {"rule": "44", "msg": sprintf("%d of %d", [count(input.packages), floor(input.image.ageHours / 24)])} if { input.image.size > 9 }
deny contains sprintf("%[2]s %[1]s", [input.image.digest, input.image.host]) if { input.image.size > 9 }
deny contains "46" if { startswith(input.image.host, "x") == false }
deny contains "47" if { flags := {"a": true, "b": false}; not flags[input.image.host] }
deny contains "48" if { flags := {"a": true, "b": false}; flags.a; not flags.b }
deny contains "49" if { some v in input.findings.vulnerabilities; fix := fix_for(v); fix }
deny contains "50" if { some i, l in input.image.layers; i > 3; l.size > 100 }
deny contains "51" if { missing(input.image.config.labels, "team") }
deny contains "52" if { not has(input.image.config.labels, "team") }
deny contains "53" if { input.image.config.labels.team != "a" }
deny contains "54" if { graph[input.image.host][_] == "x" }
fix_for(v) := true if v.fixedVersion != ""
missing(m, k) if not m[k]
has(m, k) if m[k]
has2(m, k) if _ := m[k]
deny contains "56" if not has2(input.image.config.labels, "team")
graph := {"a": ["b"]}
limits := {"shop": 3, "prod": 8}
reason := "too old" if input.image.ageHours > 100
reason2 := "x" if { input.image.ageHours > 100 } else := false
deny contains "57" if reason2
deny contains "58" if not reason2
allowed := {"CVE-1"}
exempt := {"a": "reason", "b": "other"}
trusted if input.image.registry == "harbor"
default any_release := false
any_release if { some t in input.image.tags; startswith(t, "v") }
is_prod(ns) if ns in {"prod", "live"}
max_cvss(vs) := max([v.cvss | some v in vs; v.severity == "HIGH"])
message(v) := sprintf("%s: %s", [v.id, v.package]) if v.severity == "CRITICAL"
fixed_in_time(v) := v.fixedVersion if v.firstSeenUnix > 5
empty(x) if x == ""
empty(x) if count(x) == 0
empty(x) if not x
