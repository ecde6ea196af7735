package storebench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/storetest"
)

// Size is how much an image holds.
type Size struct{ Packages, Findings int }

var (
	// Small has records only, for what reads no large values.
	Small = Size{}
	// Usual is an image on a distribution: 350 packages with their licences, 200
	// findings.
	Usual = Size{Packages: 350, Findings: 200}
)

// Fill stores n digests as an installation has them: a manifest, two locations
// with verdicts, an inventory, findings, a charge, a tag, and a finished analysis.
func Fill(s store.Store, n int, size Size) error {
	return share(callers, n, func(_, i int) error { return fill(context.Background(), s, i, size) })
}

func fill(ctx context.Context, s store.Store, i int, size Size) error {
	if _, _, err := s.Enqueue(ctx, analysis(i)); err != nil {
		return err
	}
	job, err := s.Claim(ctx, gate.ClaimRequest{Worker: "w", Lease: time.Minute, Period: gate.Period{Key: "2026-11"}})
	if err != nil {
		return err
	}
	served := s.Serve(ctx, job.Lease())
	_, finished := s.Finish(ctx, job.Lease(), gate.Result{})
	d := digest(i)
	second := gate.Location{Registry: "quay", Repository: "team/app"}
	_, first := s.AddLocation(ctx, d, place)
	_, other := s.AddLocation(ctx, d, second)
	_, tagged := s.PutTag(ctx, tag(i), d, time.Now(), "")
	err = errors.Join(served, finished, first, other, tagged,
		s.PutManifest(ctx, gate.Manifest{Digest: d, Kind: gate.KindImage, MediaType: "application/vnd.oci.image.manifest.v1+json",
			Platform: gate.Platform{OS: "linux", Architecture: "amd64"}, Size: 50 << 20}),
		storetest.PutInventory(ctx, s, job.Epoch, inventory(i, size)))
	if err != nil {
		return err
	}
	res, err := s.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{d}})
	if err != nil {
		return err
	}
	decision := gate.Decision{Outcome: gate.OutcomeWarn, PolicyRevision: "sha256:0123", Reasons: []gate.Reason{
		{Action: gate.OutcomeWarn, Rule: "root-user", Msg: "the image runs as root", Findings: []string{}}}}
	return errors.Join(storetest.PutFindings(ctx, s, findings(i, res.Digests[d].Record.InventoryID, size)),
		storetest.PutVerdicts(ctx, s, d, []gate.Verdict{{Location: place, Decision: decision}, {Location: second, Decision: decision}}))
}

// inventory is made of names and versions that differ from image to image as much
// as those of real ones do, which compress to a fifth.
func inventory(i int, size Size) *gate.Inventory {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	inv := &gate.Inventory{Format: gate.InventoryFormat, Digest: digest(i), AnalyzerSet: "set", AnalyzedAt: time.Unix(1<<30, 0).UTC(),
		OS: gate.OS{Family: "debian", Name: "12.5"}}
	for k := range size.Packages {
		name := fmt.Sprintf("lib%s-%d", words[r.IntN(len(words))], k)
		inv.Packages = append(inv.Packages, gate.Package{
			ID: name, Name: name, Version: fmt.Sprintf("%d.%d.%d", r.IntN(9), r.IntN(40), r.IntN(99)), Release: fmt.Sprintf("%d+deb12u%d", r.IntN(9), r.IntN(4)),
			Arch: "amd64", SrcName: name, PURL: "pkg:deb/debian/" + name, Licenses: []string{"GPL-2.0-or-later"}, Layer: digest(-k % 8),
		})
	}
	return inv
}

func findings(i int, id string, size Size) *gate.Findings {
	r := rand.New(rand.NewPCG(2, uint64(i)))
	f := &gate.Findings{Digest: digest(i), InventoryID: id, Generation: 1, Matcher: "m", MatchedAt: time.Unix(1<<30, 0).UTC()}
	for range size.Findings {
		f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{
			ID: fmt.Sprintf("CVE-20%d-%d", 10+r.IntN(17), 1000+r.IntN(40000)), Package: "lib" + words[r.IntN(len(words))],
			Type: "debian", Title: "a flaw in " + words[r.IntN(len(words))] + " when it reads " + words[r.IntN(len(words))], Status: "fixed", CVSS: float64(r.IntN(100)) / 10,
			InstalledVersion: fmt.Sprintf("%d.%d.%d", r.IntN(9), r.IntN(40), r.IntN(99)), Severity: gate.SeverityHigh, FixedVersion: fmt.Sprintf("%d.%d.%d", r.IntN(9), r.IntN(40), r.IntN(99)),
		})
	}
	return f
}

var words = []string{"ssl", "xml", "curl", "zip", "png", "systemd", "krb", "ldap", "perl", "python", "gcc", "icu", "pcre", "sqlite", "udev", "pam", "apt", "gnutls", "nettle", "ncurses"}
