package app

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
	"github.com/digestgate/digestgate/gate/cluster"
	"github.com/digestgate/digestgate/gate/cluster/cabundle"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/pipeline"
	"github.com/digestgate/digestgate/gate/quota"
	"github.com/digestgate/digestgate/gate/scantask"
	"github.com/digestgate/digestgate/gate/standing"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/analyzer"
	"github.com/digestgate/digestgate/scanner/joined"
	"github.com/digestgate/digestgate/scanner/joined/beside"
	"github.com/digestgate/digestgate/scanner/joined/vex"
	"github.com/digestgate/digestgate/scanner/match"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/webhooks"
)

// App is one assembled process. Its parts are made in the order in which they
// need each other, and closed in the reverse order.
type App struct {
	Config  Config
	Version string // of this program
	Log     *slog.Logger
	Metrics *prometheus.Registry
	Asking  bool // a command that leaves the policies and the advisories in force alone
	// stopping: the process is told to stop and serves on for a moment.
	stopping atomic.Bool
	// Local answers instead of registries, by name; see registry.Options.
	Local map[string]http.RoundTripper
	// notReloaded is why the configuration that was read last is not in force.
	notReloaded atomic.Pointer[string]
	// asksCertificates: a registry authenticates by one.
	asksCertificates atomic.Bool

	Token       api.Token
	Store       store.Store
	Registries  *gate.Registries
	quota       *gate.Quota
	Source      *registry.Client
	Advisories  *advisory.Manager
	refresher   *advisory.Refresher
	Matcher     *match.Matcher
	policies    *policy.Active
	tables      *joined.Set
	targets     *notify.Targets // of notifications
	notifier    *notify.Engine  // nil where nothing is sent
	Analyzer    *analyzer.Analyzer
	Pipeline    *pipeline.Pipeline
	besides     besides
	beside      *beside.Finder               // nil where no registry is read
	explained   atomic.Pointer[[]vex.Config] // advisories.vex since a reload
	Standing    *standing.Standing
	explain     *explain.Explainer
	Catalog     *catalog.Catalog
	sweeper     *standing.Sweeper
	holdings    *catalog.Holdings
	lifter      *standing.Lifter
	swept       *standing.Metrics
	syncer      *registrysync.Syncer
	tasks       *scantask.Tasks
	lastEvents  *intake.LastEvents
	lookupStats *lookup.Metrics    // of lookups and what they fall back on
	copies      *lookup.RecordCopy // what admission knows when the store is away
	answers     *lookup.Lookup     // what admission asks
	hooks       *webhooks.Handler
	reviewer    *admission.Reviewer
	established *lookup.Established // namespaces that had an image admitted
	// certificates are those of the listeners, which follow their files.
	certificates []*certificate.Certificate
	namespaces   *cluster.Namespaces      // nil where no cluster is watched
	admitting    *certificate.Certificate // that of admission, one of them
	keeper       *cabundle.Keeper         // nil without admission.webhookConfiguration

	cleanups []func() error
}

// New assembles a process. On an error everything that was made is closed.
func New(ctx context.Context, c Config, log *slog.Logger, version string) (*App, error) {
	return (&App{Config: c, Version: version, Log: log, Metrics: prometheus.NewRegistry()}).Open(ctx)
}

func (a *App) Open(ctx context.Context) (_ *App, err error) {
	c := a.Config
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	a.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.lookupStats = lookup.NewMetrics(a.Metrics)
	if err := openDataDir(c.DataDir, a.Log); err != nil {
		return nil, err
	}
	steps := []struct {
		wait
		run func(context.Context) error
	}{
		{waitStore, a.openStore}, {waitRegistries, a.openRegistries}, {waitAdvisories, a.openAdvisories},
		{waitPolicies, a.openPolicies}, {waitPolicies, a.openTables}, {waitAnalyzer, a.openAnalyzer}, {waitCatalog, a.openPipeline},
	}
	for _, step := range steps {
		if err := during(a.Log, step.wait, func() error { return step.run(ctx) }); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *App) onClose(f func() error) { a.cleanups = append(a.cleanups, f) }

// Close runs the cleanups, the last first.
func (a *App) Close() error {
	var errs []error
	for _, f := range slices.Backward(a.cleanups) {
		errs = append(errs, f())
	}
	a.cleanups = nil
	return errors.Join(errs...)
}

func (a *App) openStore(ctx context.Context) error {
	s, err := OpenStore(ctx, a.Config.Store, a.Config.Retention, a.Log, a.Metrics)
	if err != nil {
		return err
	}
	a.Store = s
	a.onClose(s.Close)
	if err := a.shareSecrets(ctx); err != nil {
		return err
	}
	if a.Token, err = api.LoadToken(a.Config.tokenPath(), a.Config.Auth.AdminTokenFile == ""); err != nil {
		return err
	}
	a.quota, err = gate.NewQuota(a.Config.Quota)
	return err
}

// shareSecrets gives all processes on a shared store the same admin token and
// the same authority of self-managed certificates.
func (a *App) shareSecrets(ctx context.Context) error {
	if !a.Config.Store.Shared() {
		return nil
	}
	keys, err := redis.ReadKeys(a.Config.Store.MACKeyFile)
	if err != nil {
		return err
	}
	if a.Config.Auth.AdminTokenFile == "" {
		if _, err := api.SharedToken(a.Config.tokenPath()).Share(ctx, a.Store, keys); err != nil {
			return fmt.Errorf("sharing the admin token: %w", err)
		}
	}
	if a.has(RoleAdmission) && a.Config.Admission.TLS.CertFile == "" {
		replaced, err := sharedAuthority(a.Config.DataDir).Share(ctx, a.Store, keys)
		if err != nil {
			return fmt.Errorf("sharing the authority of admission's certificates: %w", err)
		}
		if replaced {
			a.Log.Warn("the certificate authority of this data directory was replaced by the one in the store; put the new ca.crt into the webhook configuration",
				"file", filepath.Join(a.Config.DataDir, "tls", "ca.crt"))
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

func (a *App) openRegistries(context.Context) error {
	var err error
	if a.Registries, err = gate.NewRegistries(a.Config.RegistryList()); err != nil {
		return err
	}
	if !a.needs(partSource) {
		return nil
	}
	if a.Source, err = a.newSource(a.Config); err != nil {
		return err
	}
	a.onClose(a.Source.Close)
	return nil
}

// newSource reads the registries of a configuration.
func (a *App) newSource(c Config) (*registry.Client, error) {
	var configs []registry.Config
	for _, r := range c.Registries {
		configs = append(configs, r.Config)
	}
	platforms, err := registry.ParsePlatforms(c.Scan.Platforms)
	if err != nil {
		return nil, fmt.Errorf("scan.platforms: %w", err)
	}
	return registry.New(registry.Options{Registries: configs, Platforms: platforms, Local: a.Local, Log: a.Log})
}

func (a *App) openAdvisories(ctx context.Context) error {
	a.Matcher = match.New(a.Log, time.Now)
	a.onClose(a.Matcher.Close)
	if !a.needs(partAdvisories) {
		return nil
	}
	a.Advisories = advisory.NewManager(advisory.Options{
		Config: a.Config.Advisories, DataDir: a.Config.DataDir, Store: a.Store, Place: a.Config.storePlace(),
		Loader: loadAhead{a}, Log: a.Log, Now: time.Now, Process: ProcessName(), Program: a.Version, Observe: a.Asking,
		Downloads: a.downloads(),
	})
	a.Advisories.Describe(a.Metrics)
	if err := a.newRefresher(); err != nil {
		return err
	}
	err := a.Advisories.Open(ctx)
	if errors.Is(err, gate.ErrAdvisoriesUnavailable) {
		// Images are analysed and wait; known images are still decided.
		a.Log.Warn("no advisories are loaded, new images stay PENDING until they are", "error", err)
		return nil
	}
	return err
}

func (a *App) openAnalyzer(ctx context.Context) error {
	if !a.has(RoleWorker) {
		return nil
	}
	var err error
	a.Analyzer, err = analyzer.New(ctx, analyzer.Options{
		ChildPath: os.Getenv(EnvPrefix + "ANALYZER"), Config: a.Config.Scan, DataDir: a.Config.DataDir, Source: a.Source,
		Secrets: a.secretFiles(), Logger: a.Log, Now: time.Now,
	})
	if err != nil {
		return err
	}
	// An operator's own setting takes precedence.
	if own := analyzer.OwnMemory(a.Config.Scan); own > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(own)
	}
	a.onClose(a.Analyzer.Close)
	isolation := a.Analyzer.Report().Isolation()
	if len(isolation.Missing) > 0 {
		a.Log.Warn("analysis is less isolated than it could be", "isolation", isolation.Level, "missing", strings.Join(isolation.Missing, ", "))
	}
	reached := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "digestgate_analysis_isolated", Help: "1 when the probe child could reach nothing at start, 0 when it could.",
	})
	if len(a.Analyzer.Report().Reached) == 0 {
		reached.Set(1)
	}
	a.Metrics.MustRegister(reached)
	return nil
}

// secretFiles are what a child must not be able to read.
func (a *App) secretFiles() []string {
	own := filepath.Join(a.Config.DataDir, "tls") // what gate/admission makes
	files := []string{
		a.Token.Path, a.Config.HTTP.TLS.KeyFile, a.Config.Admission.TLS.KeyFile,
		filepath.Join(own, "authority.pem"), filepath.Join(own, "serving.pem"),
	}
	if a.Config.Admission.WebhookConfiguration != "" {
		files = append(files, a.Config.Kubernetes.TokenPath())
	}
	files = append(files, a.Config.Store.SecretFiles()...)
	files = append(files, a.Config.Advisories.Signing.KeyFile, a.Config.Advisories.Signing.PasswordFile)
	for _, r := range a.Config.Advisories.Repositories {
		files = append(files, r.PasswordFile)
	}
	for _, c := range a.Config.Admission.Clusters {
		files = append(files, c.TokenFile)
	}
	for _, r := range a.Config.Registries {
		files = append(files, r.PasswordFile, r.Credentials.DockerConfig)
		files = append(files, r.Webhook.SecretFiles...)
	}
	files = append(files, a.Config.notifySecrets()...)
	return slices.DeleteFunc(files, func(f string) bool { return f == "" })
}

func (a *App) openPipeline(ctx context.Context) error {
	a.lastEvents = intake.NewLastEvents(a.Registries, a.Store, intake.NewMetrics(a.Metrics), a.Log)
	a.onClose(func() error { a.lastEvents.Flush(context.WithoutCancel(ctx)); return nil })
	// The interfaces of what this process does not need stay nil.
	a.Standing = &standing.Standing{
		Records: a.Store, Matcher: a.Matcher, Registries: a.Registries, Now: time.Now, Log: a.Log,
		Asked: new(standing.Asked), Lifts: new(standing.Lifts), SweepGrace: a.Config.Advisories.SweepGrace,
	}
	a.Standing.Replaced = a.Standing.Lifts.Replaced
	a.explain = &explain.Explainer{Charges: a.Store, Pulls: a.Store, Registries: a.Registries, Quota: a.quota, Now: time.Now}
	a.Pipeline = &pipeline.Pipeline{
		Records: a.Store, Scheduler: a.Store, Verdicts: a.Standing,
		Registries: a.Registries, Quota: a.quota, Now: time.Now, Log: a.Log,
	}
	if a.Source != nil {
		a.Pipeline.Source, a.Pipeline.Platforms = a.Source, a.Source.Judges
		a.explain.Rests = a.Source.Rests
	}
	if err := a.openBeside(); err != nil {
		return err
	}
	if a.policies != nil {
		a.Standing.Evaluator = a.policies
	}
	if a.tables != nil && a.policies != nil {
		a.Standing.Joined = &joinedChanges{App: a}
	}
	if a.Analyzer != nil {
		a.Pipeline.Analyzer = a.Analyzer
	}
	if !a.needs(partCatalog) {
		return nil
	}
	c, err := catalog.Open(ctx, a.Config.DataDir, a.Store, a.Log)
	if err != nil {
		return err
	}
	a.Catalog = c
	a.onClose(c.Close)
	a.Standing.Tags = func(ctx context.Context, d gate.Digest, loc gate.Location) []string {
		tags, err := c.Tags(ctx, d, loc)
		if err != nil {
			a.Log.Warn("listing tags for a verdict", "error", err)
		}
		return tags
	}
	a.openHoldings(c)
	a.sweeper = standing.NewSweeper(a.Standing, standing.SweepOptions{
		Metrics: a.swept, Busy: collectLess,
		Digests: c, Scheduler: a.Store, Quota: a.quota, Tags: c.TagsOf, Marks: a.Store.Marks,
		Asked: func(ctx context.Context) ([]gate.Digest, error) { return a.Standing.Asked.Look(ctx, a.Store) },
	})
	catalog.NewQueueMetrics(a.Metrics, c.Queue)
	quota.NewMetrics(a.Metrics, func(ctx context.Context) (quota.State, error) {
		return quota.Read(ctx, a.quota, time.Now(), a.Store, c)
	}, time.Now)
	a.syncer = a.newSyncer()
	a.tasks = scantask.New(a.Store, a.Log)
	return a.openNotify()
}
