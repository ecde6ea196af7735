package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/connect"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/scanner/registry"
)

// checkOptions are what one check is about.
type checkOptions struct {
	image     string // "" when the archive names it
	input     string // an archive to read instead of a registry
	namespace string
	platforms []string
	plainHTTP bool
	caFile    string
}

func NewCheckCommand(o *app.Options) *cobra.Command {
	var options checkOptions
	var format string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "check IMAGE | check --input FILE [IMAGE]",
		Short: "Scan and decide once, without a server",
		Long: `Scan an image with the configured advisories and policies and print the verdict
and what was found. No server is needed, nothing is kept and no quota is charged.

A registry that is not configured, or is without credentials, is read with the login
that "docker login" has left for it in $DOCKER_CONFIG/config.json or
~/.docker/config.json, else without one.

With --input the image is read from a file instead: what "docker save" or "podman
save" writes, or an image layout of OCI, as a tar archive (also with gzip or zstd)
or a directory; "-" is standard input. IMAGE says which one of several, and under
which name policies see it.

Exit status: 0 allowed (also with warnings), 1 error, 2 denied, 3 no verdict.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := show.ValidFormat(format); err != nil {
				return err
			}
			if len(args) == 1 {
				options.image = args[0]
			} else if options.input == "" {
				return errors.New("which image? check accepts 1 argument, such as registry.example.com/team/app:1.0, or --input FILE")
			}
			c, err := o.Load()
			if err != nil {
				return err
			}
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = o.Logger(cmd.ErrOrStderr())
			}
			k := &check{checkOptions: options, config: c, environ: o.Environ, version: o.Version, stdin: cmd.InOrStdin(), log: log, progress: cmd.ErrOrStderr()}
			result, err := k.run(cmd.Context())
			if err != nil {
				return err
			}
			return printCheck(cmd.OutOrStdout(), format, result)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "table", "table or json")
	flags.StringVar(&options.input, "input", "", "archive or directory that has the image; - for standard input")
	flags.StringVar(&options.namespace, "namespace", "", "decide as admission would for a Pod in this namespace (default: without a request)")
	flags.StringSliceVar(&options.platforms, "platform", nil, "platform to judge, such as linux/arm64, instead of scan.platforms (repeatable)")
	flags.BoolVar(&options.plainHTTP, "plain-http", false, "read a registry that is not configured over plain HTTP")
	flags.StringVar(&options.caFile, "ca-file", "", "file with the certificates of authorities (PEM) to trust for a registry that is not configured, in addition to those of the system")
	flags.BoolVarP(&verbose, "verbose", "v", false, "log to stderr")
	return cmd
}

// namespacePattern is the grammar of the names of namespaces (RFC 1123, labels).
var namespacePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// check is one run of the whole pipeline for one image.
type check struct {
	checkOptions
	config   app.Config
	environ  []string
	version  string // of this program
	stdin    io.Reader
	log      *slog.Logger
	progress io.Writer

	dir       string // temporary, removed at the end
	ref       gate.Reference
	anonymous bool // the registry is read without a login
	made      bool // the registry is not configured
	archived
}

// run decides in a temporary directory.
func (k *check) run(ctx context.Context) (_ CheckResult, err error) {
	if k.dir, err = os.MkdirTemp("", "digestgate-check-"); err != nil {
		return CheckResult{}, fmt.Errorf("making a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(k.dir)) }()
	defer func() { err = errors.Join(err, k.archived.close()) }()
	if err := k.prepare(ctx); err != nil {
		return CheckResult{}, err
	}
	a, err := (&app.App{Config: k.config, Version: k.version, Log: k.log, Metrics: prometheus.NewRegistry(), Local: k.local}).Open(ctx)
	if err != nil {
		return CheckResult{}, k.explain(err)
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := k.mayBegin(ctx, a); err != nil {
		return CheckResult{}, k.explain(err)
	}
	// Nothing follows the feed here, and rules may look at tags.
	tags := a.Standing.Tags
	a.Standing.Tags = func(ctx context.Context, d gate.Digest, loc gate.Location) []string {
		if err := a.Catalog.CatchUp(ctx); err != nil {
			k.log.Warn("reading what is stored", "error", err)
		}
		return tags(ctx, d, loc)
	}
	if k.namespace != "" {
		a.Standing.For = k.request()
	}
	background, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	for _, w := range a.Workers() {
		working.Go(func() { w.Run(background, 0) })
	}
	job, err := a.Pipeline.Scan(ctx, k.ref.String(), false)
	if err != nil {
		return CheckResult{}, err
	}
	v, err := settle(ctx, a, job, k.progress)
	if err != nil {
		return CheckResult{}, k.explain(err)
	}
	result, err := checked(ctx, a, v)
	if err == nil {
		k.resultInFlags(&result)
	}
	return result, err
}

// prepare turns a server's configuration into one for a single image: a store of
// its own that is thrown away, and only a worker.
func (k *check) prepare(ctx context.Context) (err error) {
	c := &k.config
	if len(k.platforms) > 0 {
		if _, err := registry.ParsePlatforms(k.platforms); err != nil {
			return fmt.Errorf("--platform: %w", err)
		}
		c.Scan.Platforms = k.platforms
	}
	if k.namespace != "" && !namespacePattern.MatchString(k.namespace) {
		return fmt.Errorf("--namespace %s is not the name of a namespace: want lower-case letters, digits and '-', at most 63", gate.Quoted(k.namespace, 80))
	}
	if k.image != "" {
		if k.ref, err = gate.ParseReference(k.image); err != nil {
			return err
		}
	}
	if k.input != "" {
		if err := k.openArchive(ctx); err != nil {
			return fmt.Errorf("--input %s: %w", inputName(k.input), err)
		}
	}
	i, err := k.registry()
	if err != nil {
		return err
	}
	if k.caFile != "" && k.plainHTTP {
		return errors.New("--ca-file and --plain-http exclude each other, because without TLS there is no certificate; give one of them")
	}
	if k.made && k.caFile != "" {
		if _, err := connect.Trusting(k.caFile); err != nil {
			return err
		}
	}
	if err := k.credentials(ctx, &c.Registries[i].Config); err != nil {
		return err
	}
	for i := range c.Registries {
		c.Registries[i].PullsPerHour = 0
	}
	c.DataDir, c.Store.URL = k.dir, "sqlite://"+filepath.Join(k.dir, "check.db")
	c.Roles, c.Quota = []string{app.RoleWorker}, gate.DefaultQuota()
	c.Auth.AdminTokenFile = ""
	return nil
}

// registry is the place of the image's registry in the configuration; one that is
// not configured is added.
func (k *check) registry() (int, error) {
	regs, err := gate.NewRegistries(k.config.RegistryList())
	if err != nil {
		return 0, err
	}
	if known, ok := regs.ByHost(k.ref.Host); ok {
		if k.archive == nil && (k.plainHTTP || k.caFile != "") {
			fmt.Fprintf(k.progress, "note: %s is the configured registry %q: its plainHTTP and caFile are used, --plain-http and --ca-file are ignored\n", k.ref.Host, known.Name)
		}
		return slices.IndexFunc(k.config.Registries, func(r app.RegistryConfig) bool { return r.Name == known.Name }), nil
	}
	r := app.RegistryConfig{Config: registry.DefaultConfig()}
	r.Name, r.Type, r.Host, r.PlainHTTP, r.CAFile = madeRegistry, "distribution", k.ref.Host, k.plainHTTP, k.caFile
	k.made = true
	k.config.Registries = append(slices.Clone(k.config.Registries), r)
	return len(k.config.Registries) - 1, nil
}

// mayBegin refuses, before anything is pulled, what cannot come to a verdict.
func (k *check) mayBegin(ctx context.Context, a *app.App) error {
	if _, loaded := a.Matcher.Generation(); !loaded {
		why := a.Advisories.Status().Problem
		if k.config.Advisories.Path == "" {
			why = "advisories.path is empty: name a directory with --set advisories.path=DIR, or make one with \"digestgate advisories build\""
		}
		return show.NoVerdict("no verdict: there is no advisory data to compare the image with, so nothing was pulled: %s", gate.Printable(why, 600))
	}
	if len(k.platforms) == 0 {
		return nil
	}
	ref, loc := k.ref.Tag, gate.Location{Repository: k.ref.Repository}
	if k.ref.Digest != "" {
		ref = string(k.ref.Digest)
	}
	if r, ok := a.Registries.ByHost(k.ref.Host); ok {
		loc.Registry = r.Name
	}
	m, err := a.Source.Resolve(ctx, loc, ref)
	if err == nil && m.Kind == gate.KindImage && !a.Source.Judges(m.Platform) {
		return show.NoVerdict("no verdict: the image is for %s only, and --platform asks for %s", m.Platform, strings.Join(k.platforms, ", "))
	}
	return nil // what is wrong with it otherwise, the job tells
}

// request is what admission would know of a Pod in the namespace.
func (k *check) request() *gate.Request {
	mode := k.config.Admission.Mode
	if n, ok := k.config.Admission.Namespaces[k.namespace]; ok {
		mode = n.Mode
	}
	switch {
	case slices.Contains(k.config.Admission.ExemptNamespaces, k.namespace):
		fmt.Fprintf(k.progress, "note: namespace %q is in admission.exemptNamespaces: admission does not look at its images\n", k.namespace)
	case mode != admission.ModeEnforce:
		fmt.Fprintf(k.progress, "note: admission.mode is %s in namespace %q: what is denied here is admitted there\n", mode, k.namespace)
	}
	return &gate.Request{Cluster: admission.DefaultCluster, Namespace: k.namespace, Kind: "Pod", Operation: "CREATE", User: "digestgate check"}
}
