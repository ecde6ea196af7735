package app

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
	// partTables keeps what is joined to findings, for evaluations and for views.
	partTables part = "tables"
)

// needs says which roles need a part. What stands in no line, such as the
// store, every process has.
var needs = map[part][]string{
	partSource:     {roleAPI, RoleAdmission, RoleWorker, roleScheduler},
	partPolicies:   {RoleAdmission, RoleWorker, roleScheduler},
	partTables:     {roleAPI, RoleAdmission, RoleWorker, roleScheduler},
	partAdvisories: {RoleAdmission, RoleWorker, roleScheduler},
	partCatalog:    {roleAPI, RoleWorker, roleScheduler}, // verdicts name tags
}

func (a *App) has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(a.Config.Roles, r) })
}

func (a *App) needs(p part) bool { return a.has(needs[p]...) }
