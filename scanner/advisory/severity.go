package advisory

import (
	"fmt"
	"strings"

	"github.com/aquasecurity/trivy-db/pkg/types"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"
)

// parseSeverity reads the words that sources use; ok is false for a word that
// none of them does.
func parseSeverity(word string) (s types.Severity, ok bool) {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical":
		return types.SeverityCritical, true
	case "high", "important":
		return types.SeverityHigh, true
	case "medium", "moderate":
		return types.SeverityMedium, true
	case "low", "negligible", "unimportant":
		return types.SeverityLow, true
	case "unknown", "":
		return types.SeverityUnknown, true
	}
	return types.SeverityUnknown, false
}

// addCVSS puts a CVSS vector into a detail, from which its severity follows.
// Vectors of version 2 are left out: only sources from before 2016 give them.
func addCVSS(d *types.VulnerabilityDetail, vector string) error {
	vector = strings.TrimSuffix(vector, "/") // as some entries of GitHub's have it
	switch {
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		v, err := gocvss30.ParseVector(vector)
		if err != nil {
			return fmt.Errorf("CVSS vector %q: %w", vector, err)
		}
		setV3(d, vector, v.EnvironmentalScore())
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		v, err := gocvss31.ParseVector(vector)
		if err != nil {
			return fmt.Errorf("CVSS vector %q: %w", vector, err)
		}
		setV3(d, vector, v.EnvironmentalScore())
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		v, err := gocvss40.ParseVector(vector)
		if err != nil {
			return fmt.Errorf("CVSS vector %q: %w", vector, err)
		}
		if score := v.Score(); score > d.CvssScoreV40 {
			d.CvssVectorV40, d.CvssScoreV40 = vector, score
		}
	default:
		return fmt.Errorf("CVSS vector %q: want one that starts with CVSS:3.0/, CVSS:3.1/ or CVSS:4.0/", vector)
	}
	return nil
}

func setV3(d *types.VulnerabilityDetail, vector string, score float64) {
	if score > d.CvssScoreV3 {
		d.CvssVectorV3, d.CvssScoreV3 = vector, score
	}
}
