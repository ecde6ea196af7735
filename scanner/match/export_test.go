package match

import (
	"context"

	"github.com/aquasecurity/trivy/pkg/scan/langpkg"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/inventory"
)

// Forget has the generation that is in use remember nothing, now and later.
func (m *Matcher) Forget() {
	cur := *m.current.Load()
	cur.memo = nil
	m.current.Store(&cur)
}

// Remembered is what is remembered of the generation in use: answers and bytes.
func (m *Matcher) Remembered() (answers, bytes int) {
	memo := m.current.Load().memo
	for i := range memo.parts {
		p := &memo.parts[i]
		p.mu.RLock()
		answers, bytes = answers+len(p.known), bytes+p.bytes
		p.mu.RUnlock()
	}
	return answers, bytes
}

// Plainly is what Trivy finds when it is handed the whole inventory at once.
func (m *Matcher) Plainly(ctx context.Context, inv *gate.Inventory) (found []gate.Vulnerability, eol bool, err error) {
	cur := m.current.Load()
	if err := connection.acquire(ctx, cur.db); err != nil {
		return nil, false, err
	}
	defer connection.release()
	r := &run{gen: cur, inv: inv}
	target := inventory.ScanTarget(inv)
	apps := target
	target.Applications, apps.Packages = nil, nil
	if inv.OS.Family != "" {
		result, end, err := osScanner(target.OS, nil).Scan(ctx, target, scanOptions())
		if err != nil {
			return nil, false, err
		}
		r.fill(result.Vulnerabilities)
		for _, v := range result.Vulnerabilities {
			found = append(found, narrow(v, inv.OS.Family, "", false))
		}
		eol = end
	}
	for _, app := range apps.Applications {
		one := apps
		one.Applications = apps.Applications[:0:0]
		one.Applications = append(one.Applications, app)
		results, err := langpkg.NewScanner().Scan(ctx, one, scanOptions())
		if err != nil {
			return nil, false, err
		}
		for _, result := range results {
			r.fill(result.Vulnerabilities)
			for _, v := range result.Vulnerabilities {
				found = append(found, narrow(v, string(app.Type), app.FilePath, true))
			}
		}
	}
	return sorted(found), eol, nil
}
