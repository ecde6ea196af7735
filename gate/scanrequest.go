package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ParseTimeZone loads a time zone by its IANA name; "" is UTC. ErrInvalid for any other
// text: "Local" would make replicas disagree.
func ParseTimeZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || strings.EqualFold(name, "local") || len(name) > 64 {
		return nil, fmt.Errorf("%s is not an IANA time zone such as Asia/Shanghai: %w", Quoted(name, 60), ErrInvalid)
	}
	return zone, nil
}

// The most that a scan can be told to do.
const (
	maxScanRate        = 1_000_000
	MaxScanConcurrency = 64
)

// Problems says what is wrong with the request, apart from its window and its schedule.
func (r ScanRequest) Problems(known ScanKnown) (list []ScanProblem) {
	bad := func(key, format string, args ...any) {
		list = append(list, ScanProblem{key, fmt.Sprintf(format, args...)})
	}
	if !slices.Contains(ScanKinds(), r.Kind) {
		bad("kind", "%s is not one of match, content", Quoted(string(r.Kind), 40))
	}
	for _, p := range r.Scope.Problems(known) {
		bad("scope."+p.Key, "%s", p.Text)
	}
	if r.Rate < 0 || r.Rate > maxScanRate {
		bad("rate", "%d is not a number of images per hour from 1 to %d; 0 sets no limit", r.Rate, maxScanRate)
	}
	if r.Concurrency < 0 || r.Concurrency > MaxScanConcurrency {
		bad("concurrency", "%d is not a number of images at a time from 1 to %d; 0 leaves it to digestgate", r.Concurrency, MaxScanConcurrency)
	}
	return append(list, r.riskProblems(known)...)
}

// riskProblems: an analysis looks at all risks of an image at once, and matching at its
// vulnerabilities. Anything else would be left out in silence.
func (r ScanRequest) riskProblems(known ScanKnown) (list []ScanProblem) {
	looked := known.Risks
	if looked == nil {
		looked = SupportedRisks()
	}
	for i, risk := range r.Risks {
		key := fmt.Sprintf("risks[%d]", i)
		switch {
		case !slices.Contains(Risks(), risk):
			list = append(list, ScanProblem{key, fmt.Sprintf("%s is not a risk; write one of %v", Quoted(string(risk), 60), looked)})
		case !slices.Contains(looked, risk):
			list = append(list, ScanProblem{key, fmt.Sprintf("%q is not looked at here; write one of %v (scan.risks), or leave it out", risk, looked)})
		case slices.Contains(r.Risks[:i], risk):
			list = append(list, ScanProblem{key, fmt.Sprintf("%q is there twice; leave one out", risk)})
		case r.Kind == ScanMatch && risk != RiskVulnerabilities:
			list = append(list, ScanProblem{key, fmt.Sprintf("the kind match compares stored packages with vulnerability data and does not look at %s; use the kind content, or leave it out", risk)})
		}
	}
	if r.Kind != ScanContent || len(list) > 0 || len(r.Risks) == 0 || len(r.Risks) == len(looked) {
		return list
	}
	advice := "leave risks out"
	if len(r.Risks) == 1 && r.Risks[0] == RiskVulnerabilities {
		advice += ", or use the kind match, which looks at vulnerabilities alone and pulls nothing"
	}
	return append(list, ScanProblem{"risks", fmt.Sprintf("the kind content looks at all of %v at once, because an inventory with a part of them would hide the others; %s", looked, advice)})
}
