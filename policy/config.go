package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Config is the part "policy" of the configuration.
type Config struct {
	// Paths are .rego files and directories that are searched for them; files
	// that end in _test.rego belong to `policy test` and are not loaded. Empty
	// means the starter set that is part of the program.
	Paths []string `yaml:"paths"`
	// Bundles, Data and Exceptions are reserved; a value is refused until
	// they are supported, so that nobody believes that they work.
	Bundles    []string `yaml:"bundles"`
	Data       string   `yaml:"data"`
	Exceptions string   `yaml:"exceptions"`
	// AllowIncomplete names what may be incomplete without an image being
	// refused: RISK, RISK/KIND (see gate.GapKindsOf) and RISK:PATTERN, a
	// doublestar pattern over paths in the image, for the risks of
	// gate.SupportedRisks; "packageDatabase" and "distributionRelease". What is
	// let through is a warning in every verdict.
	AllowIncomplete []string `yaml:"allowIncomplete"`
}

// Default is the starter set with nothing allowed to be incomplete.
func Default() Config {
	return Config{Paths: []string{}, Bundles: []string{}, AllowIncomplete: []string{}}
}

// Validate reports every problem, each line starting with the key. It does not
// read the policies: [New] does.
func (c Config) Validate() error {
	var errs []error
	for i, p := range c.Paths {
		if strings.TrimSpace(p) == "" {
			errs = append(errs, fmt.Errorf("policy.paths[%d]: the path is empty: %w", i, gate.ErrInvalid))
		}
	}
	unsupported := func(key string) {
		errs = append(errs, fmt.Errorf("policy.%s: not supported yet, leave it empty: %w", key, gate.ErrInvalid))
	}
	if len(c.Bundles) > 0 {
		unsupported("bundles")
	}
	if c.Data != "" {
		unsupported("data")
	}
	if c.Exceptions != "" {
		unsupported("exceptions")
	}
	for i, entry := range c.AllowIncomplete {
		if entry == IncompletePackageDatabase || entry == IncompleteDistributionRelease {
			continue
		}
		if _, err := parseAllowance(entry); err != nil {
			errs = append(errs, fmt.Errorf("policy.allowIncomplete[%d]: %s %w: %w", i, gate.Quoted(entry, 200), err, gate.ErrInvalid))
		}
	}
	return errors.Join(errs...)
}
