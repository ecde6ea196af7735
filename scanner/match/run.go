package match

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	dbtypes "github.com/aquasecurity/trivy-db/pkg/types"
	ospkgdetector "github.com/aquasecurity/trivy/pkg/detector/ospkg"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/driver"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/rapidfort"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/rootio"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/seal"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/scan/langpkg"
	"github.com/aquasecurity/trivy/pkg/scan/ospkg"
	"github.com/aquasecurity/trivy/pkg/types"
	"github.com/aquasecurity/trivy/pkg/vulnerability"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/inventory"
)

const (
	// stepPackages is how many packages one step hands to a detector. A step
	// of an ordinary image takes 0.3 ms, of which 2 µs are lost to the division;
	// with the worst known source package (linux in Debian: 3,000 advisories at
	// 15 µs each) it is 0.4 s, which is how long a swap may have to wait.
	stepPackages = 8
	// stepGrace is how long a match may run on while a swap waits. Ordinary
	// images are done in that time.
	stepGrace = 20 * time.Millisecond
	// maxFindings bounds what one image may have. Images with kernel headers of old
	// releases reach 20,000; beyond this bound no reader would look at the findings,
	// and the image is unassessable.
	maxFindings = 50_000
)

// run is one attempt to match one inventory with one generation.
type run struct {
	gen *generation
	inv *gate.Inventory
	// superseded, when set, asks whether newer data has come.
	superseded func() bool

	locked   time.Time // since when the lock is held
	found    []gate.Vulnerability
	gaps     gaps
	problems []string
	eol      bool
}

func scanOptions() types.ScanOptions {
	return types.ScanOptions{
		Scanners: types.Scanners{types.VulnerabilityScanner},
		// Without a source every severity would be UNKNOWN.
		VulnSeveritySources: []dbtypes.SourceID{"auto"},
	}
}

// match runs the detectors. Errors: errSuperseded, gate.ErrTimeout,
// gate.ErrAdvisoriesUnavailable.
func (r *run) match(ctx context.Context) error {
	target := inventory.ScanTarget(r.inv)
	if err := connection.acquire(ctx, r.gen.db); err != nil {
		return err
	}
	r.locked = time.Now() // a span of real time, not of the injected clock
	defer func() {
		if !r.locked.IsZero() {
			connection.release()
		}
	}()
	if err := r.distribution(ctx, target); err != nil {
		return err
	}
	return r.applications(ctx, target)
}

// pause is called between steps: it ends the run when ctx has ended, when there
// is too much to be true, and lets a waiting swap through.
func (r *run) pause(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", gate.ErrTimeout, err)
	}
	if connection.swaps.Load() == 0 || time.Since(r.locked) < stepGrace {
		return nil
	}
	connection.release()
	r.locked = time.Time{}
	if r.superseded != nil && r.superseded() {
		return errSuperseded
	}
	// The swap was another matcher's, or this run has started again too often.
	if err := connection.acquire(ctx, r.gen.db); err != nil {
		return err
	}
	r.locked = time.Now()
	if r.superseded != nil && r.superseded() {
		return errSuperseded
	}
	return nil
}

// full reports whether there are more findings than an image may have.
func (r *run) full() bool { return len(r.found) > maxFindings }

// problem notes why the image cannot be assessed.
func (r *run) problem(format string, args ...any) {
	p := gate.Printable(fmt.Sprintf(format, args...), 400)
	if len(r.problems) < 5 && !slices.Contains(r.problems, p) {
		r.problems = append(r.problems, p)
	}
}

// distribution matches the packages of the distribution.
func (r *run) distribution(ctx context.Context, target types.ScanTarget) error {
	drv := supplier(target.OS, target.Packages)
	judged := false
	err := r.step(func() error {
		if p := r.identityProblem(target, drv); p != "" {
			r.problem("%s", p)
			return nil
		}
		if target.OS.Family == "" {
			return nil
		}
		if p := r.releaseProblem(target, drv); p != "" {
			r.problem("%s", p)
			return nil
		}
		if p := r.gaps.distribution(target, r.inv.Packages, drv); p != "" {
			r.problem("%s", p)
		}
		judged = true
		return nil
	})
	if err != nil || !judged {
		return err
	}
	// The suppliers look at all packages; a step has only some of them.
	scanner := ospkg.NewScanner(ospkgdetector.WithSupplier(func(ftypes.OS, []ftypes.Package) driver.Driver { return drv }))
	steps := slices.Collect(slices.Chunk([]ftypes.Package(target.Packages), stepPackages))
	if len(steps) == 0 {
		steps = [][]ftypes.Package{nil} // for the end of life alone
	}
	for _, step := range steps {
		t := target
		t.Packages, t.Applications = step, nil
		err := r.step(func() error {
			result, eol, err := scanner.Scan(ctx, t, scanOptions())
			if errors.Is(err, ospkgdetector.ErrUnsupportedOS) {
				r.problem("there are no advisories for the distribution %q", target.OS.Family)
				return nil
			}
			if err != nil {
				return err
			}
			r.eol = r.eol || eol
			r.collect(result.Vulnerabilities, string(target.OS.Family), "")
			return nil
		})
		if err != nil {
			return err
		}
		if err := r.pause(ctx); err != nil || r.full() {
			return err
		}
	}
	return nil
}

// supplier is the detector of a third party that rebuilt the packages, nil when
// the distribution's own applies. The order is Trivy's.
func supplier(os ftypes.OS, pkgs []ftypes.Package) driver.Driver {
	for _, s := range []driver.Supplier{rapidfort.Supplier, rootio.Supplier, seal.Supplier} {
		if d := s(os, pkgs); d != nil {
			return d
		}
	}
	return nil
}

// applications matches the packages of languages.
func (r *run) applications(ctx context.Context, target types.ScanTarget) error {
	scanner := langpkg.NewScanner()
	for _, app := range target.Applications {
		matchable := false
		if err := r.step(func() error {
			matchable = r.gaps.application(r.gen.db, app)
			return nil
		}); err != nil {
			return err
		}
		if !matchable {
			continue // the data has nothing of this kind
		}
		for step := range slices.Chunk([]ftypes.Package(app.Packages), stepPackages) {
			if r.full() {
				return nil
			}
			part := ftypes.Application{Type: app.Type, FilePath: app.FilePath, Packages: step}
			t := types.ScanTarget{Name: target.Name, Applications: []ftypes.Application{part}}
			err := r.step(func() error {
				results, err := scanner.Scan(ctx, t, scanOptions())
				if err != nil {
					return err
				}
				for _, result := range results {
					r.collect(result.Vulnerabilities, string(app.Type), app.FilePath)
				}
				return nil
			})
			if err != nil {
				return err
			}
			if err := r.pause(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// step runs a detector. A detector that fails or panics on the inventory makes
// the image unassessable; a page of the database that cannot be read is the
// data's fault and an error.
func (r *run) step(detect func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		// Faults of mapped memory know their address (runtime/debug.SetPanicOnFault).
		if fault, ok := p.(interface{ Addr() uintptr }); ok {
			err = fmt.Errorf("reading the advisory database: memory fault at %#x: %w", fault.Addr(), gate.ErrAdvisoriesUnavailable)
			return
		}
		r.problem("a detector failed on the inventory: %v", p)
	}()
	if err := detect(); err != nil {
		r.problem("a detector failed on the inventory: %v", err)
	}
	return nil
}

// collect adds details to what a detector found and keeps the narrow form.
func (r *run) collect(found []types.DetectedVulnerability, kind, file string) {
	op := operation{cache: r.gen.db.details}
	vulnerability.NewClient(op).FillInfo(found, scanOptions().VulnSeveritySources)
	for _, v := range found {
		r.found = append(r.found, narrow(v, kind, file))
	}
}

// result sorts and counts out what the run has found.
func (r *run) result(version string, now time.Time) *gate.Findings {
	if r.full() {
		r.problem("there are more than %d findings", maxFindings)
		r.found = r.found[:maxFindings]
	}
	return &gate.Findings{
		Digest:          r.inv.Digest,
		Generation:      r.gen.Number,
		Advisories:      r.gen.Content,
		UpdatedAt:       r.gen.UpdatedAt,
		Matcher:         version,
		MatchedAt:       now.UTC(),
		Vulnerabilities: sorted(r.found),
		Unassessable:    strings.Join(r.problems, "; "),
		Gaps:            r.gaps.list(),
		EOL:             r.eol,
	}
}
