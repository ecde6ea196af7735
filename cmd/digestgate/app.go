package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/pipeline"
	"github.com/digestgate/digestgate/gate/quota"
	"github.com/digestgate/digestgate/gate/standing"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/analyzer"
	"github.com/digestgate/digestgate/scanner/match"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/webhooks"
)

// app is one assembled process. Its parts are made in the order in which they
// need each other, and closed in the reverse order.
type app struct {
	config  Config
	version string // of this program
	log     *slog.Logger
	metrics *prometheus.Registry
	asking  bool // a command that leaves the policies and the advisories in force alone
	// stopping: the process is told to stop and serves on for a moment.
	stopping atomic.Bool
	// local answers instead of registries, by name; see registry.Options.
	local map[string]http.RoundTripper
	// notReloaded is why the configuration that was read last is not in force.
	notReloaded atomic.Pointer[string]
	// asksCertificates: a registry authenticates by one.
	asksCertificates atomic.Bool

	token       api.Token
	store       store.Store
	registries  *gate.Registries
	quota       *gate.Quota
	source      *registry.Client
	advisories  *advisory.Manager
	matcher     *match.Matcher
	policies    *policy.Active
	analyzer    *analyzer.Analyzer
	pipeline    *pipeline.Pipeline
	standing    *standing.Standing
	explain     *explain.Explainer
	catalog     *catalog.Catalog
	sweeper     *standing.Sweeper
	syncer      *registrysync.Syncer
	lastEvents  *intake.LastEvents
	lookupStats *lookup.Metrics    // of lookups and what they fall back on
	copies      *lookup.RecordCopy // what admission knows when the store is away
	hooks       *webhooks.Handler
	reviewer    *admission.Reviewer
	established *lookup.Established // namespaces that had an image admitted
	// certificates are those of the listeners, which follow their files.
	certificates []*certificate.Certificate

	cleanups []func() error
}

// newApp assembles a process. On an error everything that was made is closed.
func newApp(ctx context.Context, c Config, log *slog.Logger, version string) (*app, error) {
	return (&app{config: c, version: version, log: log, metrics: prometheus.NewRegistry()}).open(ctx)
}

func (a *app) open(ctx context.Context) (_ *app, err error) {
	c := a.config
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.lookupStats = lookup.NewMetrics(a.metrics)
	if err := openDataDir(c.DataDir, a.log); err != nil {
		return nil, err
	}
	steps := []struct {
		wait
		run func(context.Context) error
	}{
		{waitStore, a.openStore}, {waitRegistries, a.openRegistries}, {waitAdvisories, a.openAdvisories},
		{waitPolicies, a.openPolicies}, {waitAnalyzer, a.openAnalyzer}, {waitCatalog, a.openPipeline},
	}
	for _, step := range steps {
		if err := during(a.log, step.wait, func() error { return step.run(ctx) }); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *app) onClose(f func() error) { a.cleanups = append(a.cleanups, f) }

// close runs the cleanups, the last first.
func (a *app) close() error {
	var errs []error
	for _, f := range slices.Backward(a.cleanups) {
		errs = append(errs, f())
	}
	a.cleanups = nil
	return errors.Join(errs...)
}

func (a *app) openStore(ctx context.Context) error {
	s, err := openStore(ctx, a.config.Store, a.log, a.metrics)
	if err != nil {
		return err
	}
	a.store = s
	a.onClose(s.Close)
	if err := a.shareSecrets(ctx); err != nil {
		return err
	}
	if a.token, err = api.LoadToken(a.config.tokenPath(), a.config.Auth.AdminTokenFile == ""); err != nil {
		return err
	}
	a.quota, err = gate.NewQuota(a.config.Quota)
	return err
}

// shareSecrets gives all processes on a shared store the same admin token and
// the same authority of self-managed certificates.
func (a *app) shareSecrets(ctx context.Context) error {
	if !a.config.Store.Shared() {
		return nil
	}
	keys, err := redis.ReadKeys(a.config.Store.MACKeyFile)
	if err != nil {
		return err
	}
	if a.config.Auth.AdminTokenFile == "" {
		if _, err := api.SharedToken(a.config.tokenPath()).Share(ctx, a.store, keys); err != nil {
			return fmt.Errorf("sharing the admin token: %w", err)
		}
	}
	if a.has(roleAdmission) && a.config.Admission.TLS.CertFile == "" {
		replaced, err := sharedAuthority(a.config.DataDir).Share(ctx, a.store, keys)
		if err != nil {
			return fmt.Errorf("sharing the authority of admission's certificates: %w", err)
		}
		if replaced {
			a.log.Warn("the certificate authority of this data directory was replaced by the one in the store; put the new ca.crt into the webhook configuration",
				"file", filepath.Join(a.config.DataDir, "tls", "ca.crt"))
		}
	}
	return nil
}

// sharedAuthority is the authority of the self-managed certificates, so that
// one caBundle fits every replica of admission.
func sharedAuthority(dataDir string) agree.Secret {
	return agree.Secret{
		Setting: agree.SettingAuthority, Path: certificate.AuthorityFile(dataDir), Instead: "set admission.tls",
		Make: func() ([]byte, error) { return certificate.NewAuthority(time.Now) },
	}
}

func (a *app) openRegistries(context.Context) error {
	var err error
	if a.registries, err = gate.NewRegistries(a.config.registries()); err != nil {
		return err
	}
	if !a.needs(partSource) {
		return nil
	}
	if a.source, err = a.newSource(a.config); err != nil {
		return err
	}
	a.onClose(a.source.Close)
	return nil
}

// newSource reads the registries of a configuration.
func (a *app) newSource(c Config) (*registry.Client, error) {
	var configs []registry.Config
	for _, r := range c.Registries {
		configs = append(configs, r.Config)
	}
	platforms, err := registry.ParsePlatforms(c.Scan.Platforms)
	if err != nil {
		return nil, fmt.Errorf("scan.platforms: %w", err)
	}
	return registry.New(registry.Options{Registries: configs, Platforms: platforms, Local: a.local, Log: a.log})
}

func (a *app) openAdvisories(ctx context.Context) error {
	a.matcher = match.New(a.log, time.Now)
	a.onClose(a.matcher.Close)
	if !a.needs(partAdvisories) {
		return nil
	}
	a.advisories = advisory.NewManager(advisory.Options{
		Config: a.config.Advisories, DataDir: a.config.DataDir, Store: a.store, Place: a.config.storePlace(),
		Loader: a.matcher, Log: a.log, Now: time.Now, Process: processName(), Program: a.version, Observe: a.asking,
	})
	a.advisories.Describe(a.metrics)
	err := a.advisories.Open(ctx)
	if errors.Is(err, gate.ErrAdvisoriesUnavailable) {
		// Images are analysed and wait; known images are still decided.
		a.log.Warn("no advisories are loaded, new images stay PENDING until they are", "error", err)
		return nil
	}
	return err
}

func (a *app) openAnalyzer(ctx context.Context) error {
	if !a.has(roleWorker) {
		return nil
	}
	var err error
	a.analyzer, err = analyzer.New(ctx, analyzer.Options{
		ChildPath: os.Getenv(envPrefix + "ANALYZER"), Config: a.config.Scan, DataDir: a.config.DataDir, Source: a.source,
		Secrets: a.secretFiles(), Logger: a.log, Now: time.Now,
	})
	if err != nil {
		return err
	}
	// An operator's own setting takes precedence.
	if own := analyzer.OwnMemory(a.config.Scan); own > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(own)
	}
	a.onClose(a.analyzer.Close)
	isolation := a.analyzer.Report().Isolation()
	if len(isolation.Missing) > 0 {
		a.log.Warn("analysis is less isolated than it could be", "isolation", isolation.Level, "missing", strings.Join(isolation.Missing, ", "))
	}
	reached := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "digestgate_analysis_isolated", Help: "1 when the probe child could reach nothing at start, 0 when it could.",
	})
	if len(a.analyzer.Report().Reached) == 0 {
		reached.Set(1)
	}
	a.metrics.MustRegister(reached)
	return nil
}

// secretFiles are what a child must not be able to read.
func (a *app) secretFiles() []string {
	own := filepath.Join(a.config.DataDir, "tls") // what gate/admission makes
	files := []string{
		a.token.Path, a.config.HTTP.TLS.KeyFile, a.config.Admission.TLS.KeyFile,
		filepath.Join(own, "authority.pem"), filepath.Join(own, "serving.pem"),
	}
	files = append(files, a.config.Store.SecretFiles()...)
	for _, c := range a.config.Admission.Clusters {
		files = append(files, c.TokenFile)
	}
	for _, r := range a.config.Registries {
		files = append(files, r.PasswordFile, r.Credentials.DockerConfig)
		files = append(files, r.Webhook.SecretFiles...)
	}
	return slices.DeleteFunc(files, func(f string) bool { return f == "" })
}

func (a *app) openPipeline(ctx context.Context) error {
	a.lastEvents = intake.NewLastEvents(a.registries, a.store, intake.NewMetrics(a.metrics), a.log)
	a.onClose(func() error { a.lastEvents.Flush(context.WithoutCancel(ctx)); return nil })
	// The interfaces of what this process does not need stay nil.
	a.standing = &standing.Standing{Records: a.store, Matcher: a.matcher, Registries: a.registries, Now: time.Now, Log: a.log}
	a.explain = &explain.Explainer{Charges: a.store, Pulls: a.store, Registries: a.registries, Quota: a.quota, Now: time.Now}
	a.pipeline = &pipeline.Pipeline{
		Records: a.store, Scheduler: a.store, Verdicts: a.standing,
		Registries: a.registries, Quota: a.quota, Now: time.Now, Log: a.log,
	}
	if a.source != nil {
		a.pipeline.Source, a.pipeline.Platforms = a.source, a.source.Judges
	}
	if a.policies != nil {
		a.standing.Evaluator = a.policies
	}
	if a.analyzer != nil {
		a.pipeline.Analyzer = a.analyzer
	}
	if !a.needs(partCatalog) {
		return nil
	}
	c, err := catalog.Open(ctx, a.config.DataDir, a.store, a.log)
	if err != nil {
		return err
	}
	a.catalog = c
	a.onClose(c.Close)
	a.standing.Tags = func(ctx context.Context, d gate.Digest, loc gate.Location) []string {
		tags, err := c.Tags(ctx, d, loc)
		if err != nil {
			a.log.Warn("listing tags for a verdict", "error", err)
		}
		return tags
	}
	a.sweeper = standing.NewSweeper(a.standing, standing.SweepOptions{Digests: c, Scheduler: a.store, Quota: a.quota})
	quota.NewMetrics(a.metrics, func(ctx context.Context) (quota.State, error) {
		return quota.Read(ctx, a.quota, time.Now(), a.store, c)
	}, time.Now)
	a.syncer = a.newSyncer()
	return nil
}
