package main

import "slices"

// part is something that not every process needs.
type part string

// The parts that cost something: connections, memory, a file that follows
// every change, copies of a large database.
const (
	// partSource reads registries.
	partSource part = "source"
	// partPolicies evaluates: standing verdicts, and reviews.
	partPolicies part = "policies"
	// partAdvisories keeps and activates advisory data, and matches. Admission
	// matches by itself what is older than its data (docs/adr/0009).
	partAdvisories part = "advisories"
	// partCatalog lists what is stored. It follows the whole feed and reads
	// every changed record.
	partCatalog part = "catalog"
)

// needs says which roles need a part. What stands in no line, such as the
// store, every process has.
var needs = map[part][]string{
	partSource:     {roleAPI, roleAdmission, roleWorker, roleScheduler},
	partPolicies:   {roleAdmission, roleWorker, roleScheduler},
	partAdvisories: {roleAdmission, roleWorker, roleScheduler},
	partCatalog:    {roleAPI, roleWorker, roleScheduler}, // verdicts name tags
}

func (a *app) has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(a.config.Roles, r) })
}

func (a *app) needs(p part) bool { return a.has(needs[p]...) }
