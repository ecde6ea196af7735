package analyzer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/registry"
)

// Source gives images and layers; *registry.Client does. Errors are those of
// gate.Source and are handed on as they are.
type Source interface {
	// Image reads manifest and configuration and checks their digests.
	Image(ctx context.Context, loc gate.Location, digest gate.Digest) (registry.Image, error)
	// Blob streams a layer. Its bytes are checked here again.
	Blob(ctx context.Context, loc gate.Location, digest gate.Digest, size int64) (io.ReadCloser, error)
}

// ChildName is the file name of the child.
const ChildName = "digestgate-analyzer"

// Options are what an Analyzer is made of. Source, DataDir and Config are
// required.
type Options struct {
	// ChildPath is the program digestgate-analyzer; "" looks beside the running
	// program, then in PATH.
	ChildPath string
	// DataDir holds the layer cache ("layers") and the children's temporary
	// files ("analysis"). Several processes may use one directory.
	DataDir string
	Source  Source
	Config  Config
	// Secrets are files that a child must not be able to read; the probe tries.
	Secrets []string
	Logger  *slog.Logger     // nil: no log
	Now     func() time.Time // nil: time.Now
}

// Analyzer implements gate.Analyzer. It is safe for concurrent use; more than
// scan.concurrency analyses wait for each other.
type Analyzer struct {
	config     Config
	source     Source
	launcher   *launcher
	cache      *cache
	work       *workDir
	slots      chan struct{}
	set        string
	childSet   string
	report     Report
	probeFiles []string
	log        *slog.Logger
	now        func() time.Time
}

// New finds the child, probes its isolation and opens the layer cache. Errors:
// gate.ErrInvalid for a configuration that cannot work here (strict isolation
// that does not hold, memory that does not fit the control group), and
// gate.ErrResource when the child is missing or does not start, or dataDir is
// not usable. ctx bounds the probe only.
func New(ctx context.Context, opt Options) (*Analyzer, error) {
	if err := opt.Config.Validate(); err != nil {
		return nil, err
	}
	a := &Analyzer{config: opt.Config, source: opt.Source, log: opt.Logger, now: opt.Now,
		slots: make(chan struct{}, opt.Config.Concurrency)}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	if err := checkMemory(opt.Config, cgroupMemory("/")); err != nil {
		return nil, err
	}
	if tight := tightMemory(opt.Config, cgroupMemory("/")); tight != "" {
		a.log.Warn("the worker's memory is tight", "reason", tight)
	}
	child, err := findChild(opt.ChildPath)
	if err != nil {
		return nil, err
	}
	work, err := openWorkDir(filepath.Join(opt.DataDir, "analysis"))
	if err != nil {
		return nil, err
	}
	a.work = work
	ok := false
	defer func() {
		if !ok {
			a.Close()
		}
	}()
	a.launcher = &launcher{path: child, dir: work.path, memory: opt.Config.ChildMemory, temp: tempLimit(opt.Config, work.path)}
	a.launcher.ahead.started = sync.NewCond(&a.launcher.ahead.mu)
	a.probeFiles = opt.Secrets
	if a.report, a.childSet, err = a.launcher.probeBest(ctx, a.probeFiles); err != nil {
		return nil, err
	}
	if err := checkIsolation(opt.Config.Isolation, a.report); err != nil {
		return nil, err
	}
	a.set = setName(a.childSet, opt.Config)
	a.cache, err = openCache(filepath.Join(opt.DataDir, "layers"), int64(opt.Config.Cache.MaxBytes), a.now, a.log)
	if err != nil {
		return nil, err
	}
	iso := a.report.Isolation()
	a.log.Info("analyzer is ready", "set", a.set, "isolation", iso.Level, "missing", iso.Missing)
	ok = true
	return a, nil
}

// Close removes the directory for temporary files. No analysis may be running.
// Without it (a killed process) the next Analyzer removes the directory.
func (a *Analyzer) Close() error {
	if a.launcher != nil {
		a.launcher.close()
	}
	return a.work.close()
}

// Set identifies the analysers, their versions and their configuration.
func (a *Analyzer) Set() string { return a.set }

// Report is what the probe at the start found.
func (a *Analyzer) Report() Report { return a.report }

// setName extends the child's set by the configuration that results depend on.
func setName(child string, c Config) string {
	raw, _ := json.Marshal(secretsUnit(c))
	sum := sha256.Sum256(raw)
	return fmt.Sprintf("%s+%x", child, sum[:4])
}

// secretsUnit is the search for secrets, as the request to a child has it.
func secretsUnit(c Config) protocol.Secrets {
	return protocol.Secrets{Enabled: configured(c, gate.RiskSecrets), SkipPaths: c.Secrets.SkipPaths, MaxFileBytes: int64(c.Secrets.MaxFileBytes)}
}

// findChild resolves the path of the child to an absolute one.
func findChild(path string) (string, error) {
	if path != "" {
		abs, err := filepath.Abs(path)
		if err == nil {
			_, err = os.Stat(abs)
		}
		if err != nil {
			return "", fmt.Errorf("looking for the analyzer child %q: %w; %s: %w", path, errors.Unwrap(err), buildHint, gate.ErrResource)
		}
		return abs, nil
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), ChildName)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	if found, err := exec.LookPath(ChildName); err == nil {
		return filepath.Abs(found)
	}
	return "", fmt.Errorf("looking for %s beside this program and in PATH: there is none; %s: %w", ChildName, buildHint, gate.ErrResource)
}

// tempLimit is what one child's temporary files may take: as much as the
// largest image, but never so much that one hostile image fills the disk and
// passes for a fault of this machine.
func tempLimit(c Config, dir string) int64 {
	limit := int64(c.MaxImageBytes)
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err == nil {
		free := int64(st.Bavail) * int64(st.Bsize)
		limit = min(limit, max(free/int64(2*c.Concurrency), 64<<20))
	}
	return limit
}

func configured(c Config, r gate.Risk) bool {
	for _, x := range c.Risks {
		if x == r {
			return true
		}
	}
	return false
}

// explain adds what was being done, once.
func explain(what string, err error) error {
	if strings.HasPrefix(err.Error(), what) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}
