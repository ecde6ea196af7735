package policy

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// builtinGroup is a set of builtins with the reason why they are allowed.
type builtinGroup struct {
	why   string
	names []string
}

// builtinGroups is the allow-list. A builtin is in it when its result depends
// on its arguments only, and its time and memory are bounded by the size of
// its arguments. Those that could grow a value by repetition are bounded by
// bounded.go, those whose cost is a product by work.go and pattern.go, and what
// rules build without builtins by weight_stage.go. A builtin that a new release of OPA adds is refused
// until somebody has read it.
func builtinGroups() []builtinGroup {
	return []builtinGroup{
		{"the language itself: assignment, comparison, membership, string templates", []string{
			"assign", "eq", "equal", "neq", "gt", "gte", "lt", "lte",
			"internal.member_2", "internal.member_3", "internal.template_string"}},
		{"arithmetic; operands are bounded to 40 digits", []string{
			"plus", "minus", "mul", "div", "rem", "abs", "ceil", "floor", "round", "to_number"}},
		{"aggregates, linear in the collection", []string{
			"count", "max", "min", "sum", "sort"}},
		{"arrays and sets, linear in their arguments", []string{
			"array.concat", "array.flatten", "array.reverse", "array.slice",
			"and", "or", "set_diff", "intersection", "union"}},
		{"objects, linear in their arguments", []string{
			"object.filter", "object.get", "object.keys", "object.remove", "object.subset",
			"object.union", "object.union_n", "walk"}},
		{"strings; what they build is bounded", []string{
			"concat", "contains", "endswith", "indexof", "indexof_n", "lower", "replace", "split",
			"sprintf", "startswith", "strings.any_prefix_match", "strings.any_suffix_match",
			"strings.count", "strings.replace_n", "strings.reverse", "strings.split_n", "substring",
			"trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper"}},
		{"regular expressions without backtracking (RE2) and globs; size of the pattern × length of the text is bounded", []string{
			"regex.find_all_string_submatch_n", "regex.find_n", "regex.is_valid", "regex.match",
			"regex.replace", "regex.split", "glob.match", "glob.quote_meta"}},
		{"types", []string{
			"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name"}},
		{"versions", []string{"semver.compare", "semver.is_valid"}},
		{"values inside labels and annotations", []string{
			"json.is_valid", "json.unmarshal", "base64.decode", "base64.is_valid"}},
		{"arithmetic on times that input gives; none of them reads a clock or a time zone", []string{
			"time.add_date", "time.parse_duration_ns", "time.parse_rfc3339_ns"}},
		{"print, which only `policy test` and `policy eval` show; the server drops the calls", []string{
			"print", "internal.print"}},
	}
}

// refusedBuiltins says what to write instead of the builtins that people try.
func refusedBuiltins() map[string]string {
	const (
		offline = "policies make no calls and read nothing of the machine; everything they may know is in input (see `digestgate policy schema`)"
		grows   = "its cost is not bounded by its arguments"
		clock   = "a decision is a function of its input; use input.now (RFC 3339) or input.nowUnix (seconds)"
		random  = "the same input must give the same decision"
		zone    = "it reads the time zones of the machine; compare input.nowUnix with seconds instead"
	)
	return map[string]string{
		"http.send": offline, "net.lookup_ip_addr": offline, "opa.runtime": offline,
		"time.now_ns": clock, "rand.intn": random, "uuid.rfc4122": random,
		"time.clock": zone, "time.date": zone, "time.diff": zone, "time.format": zone,
		"time.weekday": zone, "time.parse_ns": zone,
		"bits.lsh": grows, "numbers.range": grows + "; write `some i, x in array` to count along",
		"numbers.range_step": grows, "net.cidr_expand": grows, "product": grows,
		"strings.render_template": grows + "; use sprintf", "json.marshal": grows + "; use sprintf with %v",
		"json.marshal_with_options": grows, "yaml.unmarshal": grows + "; use json.unmarshal",
		"graph.reachable_paths": grows, "regex.globs_match": grows,
		"rego.parse_module": "policies do not build policies", "trace": "use print",
	}
}

// notAllowed is the text for a builtin that exists but is not allowed.
func notAllowed(name string) string {
	why, ok := refusedBuiltins()[name]
	if !ok {
		why = "it is not on the list in docs/policies.md"
	}
	return fmt.Sprintf("builtin %s is not allowed: %s", name, why)
}

// capabilities is the allow-list in OPA's terms. testing adds what OPA's test
// runner puts into test rules.
func capabilities(testing bool) *ast.Capabilities {
	allowed := map[string]bool{}
	for _, g := range builtinGroups() {
		for _, n := range g.names {
			allowed[n] = true
		}
	}
	if testing {
		allowed["internal.test_case"] = true
	}
	all := ast.CapabilitiesForThisVersion()
	caps := &ast.Capabilities{
		Features:       []string{ast.FeatureRegoV1, ast.FeatureKeywordsInRefs, ast.FeatureTemplateStrings},
		FutureKeywords: []string{},
		// No host may be reached to fetch what a schema refers to.
		AllowNet: []string{},
	}
	for _, b := range all.Builtins {
		if allowed[b.Name] {
			caps.Builtins = append(caps.Builtins, b)
		}
	}
	return caps
}

// AllowedBuiltins lists the names that a policy may call, sorted.
func AllowedBuiltins() []string {
	var names []string
	for _, g := range builtinGroups() {
		names = append(names, g.names...)
	}
	slices.Sort(names)
	return names
}

// knownBuiltin reports whether OPA itself has the builtin.
func knownBuiltin(name string) bool {
	_, ok := ast.BuiltinMap[name]
	return ok
}
