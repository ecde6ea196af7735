package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// CheckResult is what a check prints as JSON: the image as the API shows it, and
// what was found for each platform that was judged.
type CheckResult struct {
	view.ImageDetail
	// Compared is false while the counts say nothing: no package of the image was
	// compared with advisories.
	Compared bool                  `json:"compared"`
	Findings []view.FindingsDetail `json:"findings"`
}

// checked adds the findings to an image. A platform without an inventory has none.
func checked(ctx context.Context, a *app.App, v view.ImageDetail) (CheckResult, error) {
	result := CheckResult{ImageDetail: v, Findings: []view.FindingsDetail{}}
	seen := map[gate.Digest]bool{}
	for _, p := range v.Platforms {
		if !p.Judged || seen[p.Digest] {
			continue
		}
		seen[p.Digest] = true
		found, err := view.Views{Reader: a.Store}.PlatformFindings(ctx, p.Digest)
		if errors.Is(err, gate.ErrNotFound) {
			continue
		}
		if err != nil {
			return result, err
		}
		result.Findings = append(result.Findings, found)
		result.Compared = result.Compared || show.NotCompared(found) == ""
	}
	return result, nil
}

// printCheck prints an image with its verdict and its findings, and returns the
// error that makes the exit status.
func printCheck(w io.Writer, format string, r CheckResult) error {
	r.ImageDetail = show.AsJudged(r.ImageDetail)
	if format == "json" {
		if err := show.PrintJSON(w, r); err != nil {
			return err
		}
		return show.VerdictError(r.ImageDetail)
	}
	if err := show.PrintImage(w, r.ImageDetail, r.vulnerabilities()); err != nil {
		return err
	}
	for _, f := range r.Findings {
		title := ""
		if len(r.Findings) > 1 {
			title = r.platformOf(f.Digest)
		}
		if err := show.PrintFindings(w, title, f); err != nil {
			return err
		}
	}
	return show.VerdictError(r.ImageDetail)
}

// vulnerabilities is the line of counts, which never says "0" of what was not
// compared.
func (r CheckResult) vulnerabilities() string {
	packages := 0
	var not []string
	for _, f := range r.Findings {
		why := show.NotCompared(f)
		if why == "" {
			packages += f.Packages
			continue
		}
		if len(r.Findings) > 1 {
			why = r.platformOf(f.Digest) + ": " + why
		}
		not = append(not, why)
	}
	for _, p := range r.Platforms {
		has := slices.ContainsFunc(r.Findings, func(f view.FindingsDetail) bool { return f.Digest == p.Digest })
		if p.Judged && !has && len(r.Findings) > 0 {
			not = append(not, fmt.Sprintf("%s: it is %s", gate.Printable(p.Platform, 100), p.State))
		}
	}
	switch {
	case len(r.Findings) == 0:
		return "not compared"
	case !r.Compared:
		return "not compared: " + strings.Join(not, "; ")
	case len(not) > 0:
		return fmt.Sprintf("%s in %s; not compared: %s", show.CountsText(r.Counts), show.Count(packages, "package"), strings.Join(not, "; "))
	}
	return fmt.Sprintf("%s in %s", show.CountsText(r.Counts), show.Count(packages, "package"))
}

func (r CheckResult) platformOf(d gate.Digest) string {
	for _, p := range r.Platforms {
		if p.Digest == d {
			return gate.Printable(p.Platform, 100)
		}
	}
	return d.Short()
}
