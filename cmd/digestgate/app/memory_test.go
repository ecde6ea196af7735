package app

import "testing"

// TestGrowth: only a process that serves admission and nothing else collects more often,
// and an operator's setting stays.
func TestGrowth(t *testing.T) {
	for name, tt := range map[string]struct {
		roles []string
		set   string
		want  bool
	}{
		"admission alone":       {roles: []string{RoleAdmission}, want: true},
		"with another role":     {roles: []string{RoleAdmission, roleAPI}},
		"another role":          {roles: []string{RoleWorker}},
		"all roles":             {roles: allRoles()},
		"none":                  {},
		"GOGC is set":           {roles: []string{RoleAdmission}, set: "GOGC"},
		"a memory limit is set": {roles: []string{RoleAdmission}, set: "GOMEMLIMIT"},
	} {
		t.Run(name, func(t *testing.T) {
			percent, ok := growth(tt.roles, func(key string) string {
				if key == tt.set {
					return "100"
				}
				return ""
			})
			if ok != tt.want || ok && (percent < 25 || percent >= 100) {
				t.Errorf("got %d, %t", percent, ok)
			}
		})
	}
}
