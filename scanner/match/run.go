package match

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dbtypes "github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy/pkg/detector/library"
	ospkgdetector "github.com/aquasecurity/trivy/pkg/detector/ospkg"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/driver"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/rapidfort"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/rootio"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/seal"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/scan/langpkg"
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
	// keptFindings is how many there may be room for in memory that is used again.
	keptFindings = 4096
)

// run is one attempt to match one inventory with one generation.
type run struct {
	gen *generation
	inv *gate.Inventory
	// superseded, when set, asks whether newer data has come.
	superseded func() bool

	locked   time.Time // since when the lock is held
	found    []gate.Vulnerability
	times    []time.Time // room for when they were published
	gaps     gaps
	problems []string
	eol      bool
	uses     []string // buckets that were looked into
	anywhere bool     // and others, which are not known

	archives *gate.ArchiveNames // nil while the index was not asked
	named    []gate.Package     // what it said
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
	target := inventory.Distribution(r.inv)
	if err := r.nameArchives(ctx); err != nil {
		return err
	}
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
	return r.applications(ctx, target.Name)
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
	q := &question{pkgs: r.inv.Packages, identities: identities(r.inv.Packages), kind: string(target.OS.Family)}
	drv := r.supplier(target.OS, q)
	judged, read := false, ""
	err := r.step(func() error {
		if err := r.gen.db.readable(); err != nil {
			return err
		}
		note := r.note(memoKey{subject: r.identitySubject(target, drv), identity: q.all()}, func() gapNote { return gapNote{reason: r.identityProblem(target, drv)} })
		if note.reason != "" {
			r.problem("%s", note.reason)
			return nil
		}
		if target.OS.Family == "" {
			return nil
		}
		bucket, p := r.releaseProblem(target, drv)
		if p != "" {
			r.problem("%s", p)
			return nil
		}
		if p := r.distributionGaps(target, q, drv); p != "" {
			r.problem("%s", p)
		}
		judged, read = true, bucket
		r.look(bucket, target.OS.Family, drv)
		return nil
	})
	if err != nil || !judged {
		return err
	}
	// The suppliers look at all packages; a detector is asked about one.
	scanner := osScanner(target.OS, drv)
	scan := func(pkgs ...ftypes.Package) ([]types.DetectedVulnerability, bool, error) {
		t := target
		t.Packages = pkgs
		result, eol, err := scanner.Scan(ctx, t, scanOptions())
		return result.Vulnerabilities, eol, err
	}
	supported := true
	err = r.step(func() (err error) { // the end of life depends on the day, and is not remembered
		if _, q.eol, err = scan(); errors.Is(err, ospkgdetector.ErrUnsupportedOS) {
			r.problem("there are no advisories for the distribution %q", target.OS.Family)
			supported, err = false, nil
		}
		return err
	})
	if err != nil || !supported {
		return err
	}
	if len(q.pkgs) == 0 {
		r.eol = q.eol
	}
	// Where it depends on the day which release's advisories hold, these words say it.
	q.subject = subject(append(osWords(target), "detect", fmt.Sprintf("%T", drv), read, strconv.FormatBool(q.eol))...)
	q.scan = func(pkg ftypes.Package) ([]types.DetectedVulnerability, error) {
		found, _, err := scan(pkg)
		return found, err
	}
	return r.steps(ctx, q)
}

// look notes which buckets the detector of the distribution reads: bucket, or those of Red
// Hat. What a supplier's reads is not known.
func (r *run) look(bucket string, family ftypes.OSType, drv driver.Driver) {
	switch {
	case drv != nil:
		r.anywhere = true
	case bucket != "":
		r.uses = append(r.uses, bucket)
	case family == ftypes.RedHat || family == ftypes.CentOS:
		r.uses = append(r.uses, "Red Hat", "Red Hat CPE")
	default:
		r.anywhere = true
	}
}

// used is what the findings depend on, see gate.JoinUses.
func (r *run) used() string {
	if r.anywhere || len(r.problems) > 0 {
		return ""
	}
	return gate.JoinUses(r.uses)
}

// steps asks the detectors about all packages of a question.
func (r *run) steps(ctx context.Context, q *question) error {
	if r.again(q) {
		return r.pause(ctx)
	}
	for from := 0; from < len(q.pkgs); from += stepPackages {
		if r.full() {
			return nil
		}
		if err := r.ask(ctx, q, from, min(from+stepPackages, len(q.pkgs))); err != nil {
			return err
		}
		if err := r.pause(ctx); err != nil {
			return err
		}
	}
	if k := q.every(q.subject); q.answered == len(q.pkgs) && ctx.Err() == nil {
		r.gen.memo.keepList(&k, q.found)
	}
	return nil
}

// supplier is the detector of a third party that rebuilt the packages, nil when the
// distribution's own applies. Each supplier answers for the distribution, or for a
// distribution with at least one package of its making.
func (r *run) supplier(os ftypes.OS, q *question) driver.Driver {
	if d := supplier(os, nil); d != nil {
		return d
	}
	ask := subject("supplier", string(os.Family), string(os.Supplier))
	every := q.every(ask)
	if r.gen.memo.get(&every) != nil {
		return nil // none of them is supplied
	}
	for i := range q.pkgs {
		k := memoKey{ask, q.identities[i]}
		answer := r.gen.memo.get(&k)
		if answer == nil {
			answer = &known{supplied: supplier(os, []ftypes.Package{given(q.pkgs[i])}) != nil}
			r.gen.memo.keep(&k, answer)
		}
		if answer.supplied {
			return supplier(os, inventory.ScanTarget(r.inv).Packages)
		}
	}
	r.gen.memo.keep(&every, &known{})
	return nil
}

// supplier asks the suppliers in Trivy's order.
func supplier(os ftypes.OS, pkgs []ftypes.Package) driver.Driver {
	for _, s := range []driver.Supplier{rapidfort.Supplier, rootio.Supplier, seal.Supplier} {
		if d := s(os, pkgs); d != nil {
			return d
		}
	}
	return nil
}

// applications matches the packages of languages.
func (r *run) applications(ctx context.Context, name string) error {
	scanner := langpkg.NewScanner()
	for _, app := range slices.Concat(r.inv.Applications, r.archiveApplications()) {
		kind := ftypes.LangType(app.Type)
		q := &question{
			pkgs: app.Packages, identities: identities(app.Packages), subject: subject("application", app.Type),
			kind: app.Type, file: app.FilePath, language: true, root: root(app.Packages),
		}
		q.scan = func(pkg ftypes.Package) (found []types.DetectedVulnerability, err error) {
			t := types.ScanTarget{Name: name, Applications: []ftypes.Application{{Type: kind, Packages: []ftypes.Package{pkg}}}}
			results, err := scanner.Scan(ctx, t, scanOptions())
			for _, result := range results {
				found = append(found, result.Vulnerabilities...)
			}
			return found, err
		}
		matchable := false
		if err := r.step(func() error {
			matchable = r.applicationGaps(kind, q)
			return nil
		}); err != nil {
			return err
		}
		if !matchable {
			continue // the data has nothing of this kind
		}
		if d, ok := library.NewDriver(kind); ok {
			r.uses = append(r.uses, d.Type()+"::")
		}
		if err := r.steps(ctx, q); err != nil {
			return err
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

// fill adds details to what a detector found.
func (r *run) fill(found []types.DetectedVulnerability) {
	op := operation{cache: r.gen.db.details}
	vulnerability.NewClient(op).FillInfo(found, scanOptions().VulnSeveritySources)
}

// rooms are memory for findings before they are sorted.
var rooms = sync.Pool{New: func() any { return new([]gate.Vulnerability) }}

// forget gives the memory of the findings back.
func (r *run) forget() {
	if room := r.found[:0]; cap(room) <= keptFindings {
		clear(r.found) // it keeps no text
		rooms.Put(&room)
	}
	r.found = nil
}

// result sorts and counts out what the run has found.
func (r *run) result(version string, now time.Time) *gate.Findings {
	if r.full() {
		r.problem("there are more than %d findings", maxFindings)
		r.found = r.found[:maxFindings]
	}
	found := sorted(r.found)
	r.forget()
	uses := r.used()
	updatedAt, _ := r.gen.AgeFor(uses)
	return &gate.Findings{
		Digest:          r.inv.Digest,
		Generation:      r.gen.Number,
		Advisories:      r.gen.Content,
		UpdatedAt:       updatedAt,
		Matcher:         version,
		MatchedAt:       now.UTC(),
		Vulnerabilities: found,
		Unassessable:    strings.Join(r.problems, "; "),
		Gaps:            r.gaps.list(),
		EOL:             r.eol,
		Uses:            uses,
		Archives:        r.archives,
		Beside:          r.inv.Beside,
	}
}
