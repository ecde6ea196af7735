package analyzer_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
)

func TestValidate(t *testing.T) {
	if err := analyzer.Default().Validate(); err != nil {
		t.Errorf("the default is not valid: %v", err)
	}
	bad := analyzer.Config{
		Platforms: []string{"windows/amd64", "linux"}, Risks: []gate.Risk{"fire", gate.RiskSecrets, gate.RiskSecrets}, Isolation: "none",
		Concurrency: 100, ChildMemory: 1, Secrets: analyzer.SecretsConfig{SkipPaths: []string{"[", "ok/**"}, MaxFileBytes: -1},
		Cache: analyzer.CacheConfig{MaxBytes: -1}, Malware: analyzer.MalwareConfig{HashLists: []string{"x"}},
		Baseline: analyzer.BaselineConfig{WeakPasswords: []string{"y"}}, ApprovedBases: []string{""},
	}
	err := bad.Validate()
	if !errors.Is(err, gate.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{"platforms[0]: ", "platforms[1]: ", "risks[0]: ", "risks[2]: ", "isolation: ", "concurrency: ", "childMemory: ", "timeout: ",
		"maxImageBytes: ", "maxAttempts: ", "cache.maxBytes: ", "secrets.maxFileBytes: ", "secrets.skipPaths[0]: ", "malware: ",
		"baseline: ", "approvedBases: "} {
		found := 0
		for _, l := range lines {
			if strings.HasPrefix(l, want) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d lines start with %q in:\n%v", found, want, err)
		}
	}
	if len(lines) != 16 {
		t.Errorf("got %d problems, want 16:\n%v", len(lines), err)
	}
	for _, r := range gate.Risks() {
		c := analyzer.Default()
		c.Risks = []gate.Risk{r}
		err := c.Validate()
		if slices.Contains(gate.SupportedRisks(), r) {
			if err != nil {
				t.Errorf("scan.risks: [%s]: got %v, want none", r, err)
			}
			continue
		}
		if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), `risks[0]: "`+string(r)+`" is not supported by this version yet`) ||
			!strings.Contains(err.Error(), "[vulnerabilities secrets]") {
			t.Errorf("scan.risks: [%s]: got %v, want the supported ones", r, err)
		}
	}
	if err := (analyzer.Config{}).Validate(); !strings.Contains(err.Error(), "platforms: no platform") {
		t.Errorf("no platforms: %v", err)
	}
}

// TestConfig_without_risks: nothing would be looked at and everything admitted.
func TestConfig_without_risks(t *testing.T) {
	c := analyzer.Default()
	c.Risks = []gate.Risk{}
	if err := c.Validate(); !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), "risks: the list is empty") {
		t.Errorf("scan.risks: []: got %v, want a refusal", err)
	}
}
