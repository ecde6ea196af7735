package analyzer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/digestgate/digestgate/gate"
)

// Isolation says what happens when the probe child could reach something.
type Isolation string

// The values of scan.isolation.
const (
	// Strict refuses to analyse.
	Strict Isolation = "strict"
	// BestEffort analyses and says what is missing, in /readyz, a metric and
	// every inventory.
	BestEffort Isolation = "bestEffort"
)

// Config is the part "scan" of the configuration.
type Config struct {
	// Platforms are the platforms whose images are judged, "os/arch[/variant]".
	// Only Linux can be analysed. Default linux/amd64 and linux/arm64.
	Platforms []string `yaml:"platforms"`
	// Risks are the risks that a verdict is about; one that is configured and
	// only partly looked at refuses the image. Only those of
	// [gate.SupportedRisks] are taken. Default all of them.
	Risks []gate.Risk `yaml:"risks"`
	// Isolation is strict or bestEffort (default).
	Isolation Isolation `yaml:"isolation"`
	// Concurrency is the number of analyses at a time, each with one child.
	// Default 2.
	Concurrency int `yaml:"concurrency"`
	// ChildMemory is how much memory a child may take; one that takes more is
	// killed and its scan fails. Default 1GiB, at least 256MiB.
	ChildMemory gate.ByteSize `yaml:"childMemory"`
	// Timeout bounds one analysis. Default 10m.
	Timeout time.Duration `yaml:"timeout"`
	// MaxImageBytes bounds the compressed layers of one image together; what
	// they unpack to may be four times as much. Default 10GiB.
	MaxImageBytes gate.ByteSize `yaml:"maxImageBytes"`
	// MaxAttempts is how often an image whose analysis fails is tried.
	// Default 5.
	MaxAttempts int           `yaml:"maxAttempts"`
	Cache       CacheConfig   `yaml:"cache"`
	Secrets     SecretsConfig `yaml:"secrets"`
	// Malware, Baseline and ApprovedBases are not supported yet: a value is
	// refused, and the risks say notLookedAt.
	Malware       MalwareConfig  `yaml:"malware"`
	Baseline      BaselineConfig `yaml:"baseline"`
	ApprovedBases []string       `yaml:"approvedBases"`
}

// CacheConfig bounds the layer cache.
type CacheConfig struct {
	// MaxBytes is what the results of layers may take in dataDir; those not
	// used for longest go first. Default 2GiB; 0 keeps none.
	MaxBytes gate.ByteSize `yaml:"maxBytes"`
}

// SecretsConfig bounds the search for secrets.
type SecretsConfig struct {
	// SkipPaths are doublestar patterns over paths in the image; files that
	// match are not searched, and counted as skipped by pattern. Nothing else
	// leaves a file out by its path. Default [DefaultSkipPaths]; at most 1,000.
	SkipPaths []string `yaml:"skipPaths"`
	// MaxFileBytes is the size above which a file is not searched and listed as
	// skipped. Default 20MiB; 0 searches all.
	MaxFileBytes gate.ByteSize `yaml:"maxFileBytes"`
}

// MalwareConfig is not used yet.
type MalwareConfig struct {
	Clamd     string   `yaml:"clamd"`     // address of a clamd
	HashLists []string `yaml:"hashLists"` // files with SHA-256 sums
}

// BaselineConfig is not used yet.
type BaselineConfig struct {
	WeakPasswords []string `yaml:"weakPasswords"` // files with passwords
}

// maxSkipPaths bounds what is tried on every file of an image.
const maxSkipPaths = 1000

// minChildMemory is what a child needs for an image of some packages: the
// program itself takes 18 MiB before it does anything.
const minChildMemory = 256 << 20

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Platforms:     []string{"linux/amd64", "linux/arm64"},
		Risks:         gate.SupportedRisks(),
		Isolation:     BestEffort,
		Concurrency:   2,
		ChildMemory:   1 << 30,
		Timeout:       10 * time.Minute,
		MaxImageBytes: 10 << 30,
		MaxAttempts:   5,
		Cache:         CacheConfig{MaxBytes: 2 << 30},
		Secrets:       SecretsConfig{SkipPaths: DefaultSkipPaths(), MaxFileBytes: 20 << 20},
	}
}

// Validate reports every problem, each with its path below "scan".
func (c Config) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %w", path, fmt.Sprintf(format, args...), gate.ErrInvalid))
	}
	if len(c.Platforms) == 0 {
		bad("platforms", "no platform is configured")
	}
	for i, p := range c.Platforms {
		parts := strings.Split(p, "/")
		if len(parts) < 2 || len(parts) > 3 || parts[0] != "linux" || slices.Contains(parts, "") {
			bad(fmt.Sprintf("platforms[%d]", i), "%s is not a Linux platform such as linux/amd64", gate.Quoted(p, 60))
		}
	}
	if len(c.Risks) == 0 {
		bad("risks", "the list is empty: nothing would look at an image and none would be refused for what is in it; name at least one of %v", gate.SupportedRisks())
	}
	for i, r := range c.Risks {
		if !slices.Contains(gate.Risks(), r) {
			bad(fmt.Sprintf("risks[%d]", i), "%s is not a risk; the supported risks are %v", gate.Quoted(string(r), 60), gate.SupportedRisks())
		} else if !slices.Contains(gate.SupportedRisks(), r) {
			bad(fmt.Sprintf("risks[%d]", i), "%q is not supported by this version yet: it would not be looked at; remove it; the supported risks are %v", r, gate.SupportedRisks())
		}
		if slices.Index(c.Risks, r) != i {
			bad(fmt.Sprintf("risks[%d]", i), "%s is listed twice", gate.Quoted(string(r), 60))
		}
	}
	if c.Isolation != Strict && c.Isolation != BestEffort {
		bad("isolation", "%s is neither strict nor bestEffort", gate.Quoted(string(c.Isolation), 60))
	}
	c.validateLimits(bad)
	if n := len(c.Secrets.SkipPaths); n > maxSkipPaths {
		bad("secrets.skipPaths", "%d patterns are more than %d", n, maxSkipPaths)
	}
	for i, p := range c.Secrets.SkipPaths {
		if p == "" || !doublestar.ValidatePattern(p) {
			bad(fmt.Sprintf("secrets.skipPaths[%d]", i), "%s is not a pattern; write one over paths in the image, as in usr/share/**", gate.Quoted(p, 100))
		}
	}
	for path, set := range map[string]bool{
		"malware":  c.Malware.Clamd != "" || len(c.Malware.HashLists) > 0,
		"baseline": len(c.Baseline.WeakPasswords) > 0, "approvedBases": len(c.ApprovedBases) > 0,
	} {
		if set {
			bad(path, "not supported yet, leave it empty; its risk is reported as notLookedAt")
		}
	}
	return errors.Join(errs...)
}

func (c Config) validateLimits(bad func(path, format string, args ...any)) {
	if c.Concurrency < 1 || c.Concurrency > 64 {
		bad("concurrency", "%d is not between 1 and 64", c.Concurrency)
	}
	if c.ChildMemory < minChildMemory {
		bad("childMemory", "%s is less than %s", c.ChildMemory, gate.ByteSize(minChildMemory))
	}
	if c.Timeout < time.Second {
		bad("timeout", "%s is less than a second", c.Timeout)
	}
	if c.MaxImageBytes < 1 || c.MaxImageBytes > 1<<50 {
		bad("maxImageBytes", "%s is not between 1B and 1024TiB", c.MaxImageBytes)
	}
	if c.MaxAttempts < 1 {
		bad("maxAttempts", "%d is less than 1", c.MaxAttempts)
	}
	if c.Cache.MaxBytes < 0 {
		bad("cache.maxBytes", "%d is negative", c.Cache.MaxBytes)
	}
	if c.Secrets.MaxFileBytes < 0 {
		bad("secrets.maxFileBytes", "%d is negative", c.Secrets.MaxFileBytes)
	}
}
