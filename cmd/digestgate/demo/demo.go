package demo

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/scanner/registry/fake"
	"github.com/digestgate/digestgate/webhooks"
)

//go:embed advisories
var demoAdvisories embed.FS

func NewCommand(o *app.Options) *cobra.Command {
	var stay bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the whole way of an image, offline, and check every verdict",
		Long: `Start a registry and a server on loopback, push real images, send real deliveries of
Harbor, and show what is analysed, what is not analysed twice, what is found, and
what Kubernetes would be answered. Nothing outside a temporary directory is touched.

Exit status: 0 when every verdict was the expected one.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.DiscardHandler)
			if o.LogLevel == "debug" {
				log = o.Logger(cmd.ErrOrStderr())
			}
			return runDemo(cmd.Context(), cmd.OutOrStdout(), log, o.Version, stay)
		},
	}
	cmd.Flags().BoolVar(&stay, "stay", false, "keep the server running for exploring")
	return cmd
}

// demo is one run.
type demo struct {
	out      io.Writer
	dir      string
	version  string // of this program
	registry *fake.Registry
	app      *app.App
	server   *app.Running
	http     *http.Client
	images   Images
	wrong    int // verdicts that were not the expected ones
}

// RegistryName is the configured name of the demo's registry.
const RegistryName = "demo-harbor"

func runDemo(ctx context.Context, out io.Writer, log *slog.Logger, version string, stay bool) (err error) {
	d := &demo{out: out, version: version, http: &http.Client{Timeout: 30 * time.Second}}
	if d.dir, err = os.MkdirTemp("", "digestgate-demo-"); err != nil {
		return fmt.Errorf("making a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	if d.registry, err = fake.Start(fake.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.registry.Close()) }()

	d.title("1. A registry, an advisory database and a server, all on this machine")
	if err := d.start(ctx, log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.server.Stop(), d.app.Close()) }()
	if err := d.play(ctx); err != nil {
		return err
	}
	if stay {
		d.explore()
		<-ctx.Done()
	}
	if d.wrong > 0 {
		return fmt.Errorf("%d answers were not the expected ones", d.wrong)
	}
	d.say("\nEvery answer was the expected one.")
	return nil
}

func (d *demo) title(text string) { fmt.Fprintf(d.out, "\n== %s\n", text) }

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// expect marks an answer as right or wrong on the screen.
func (d *demo) expect(ok bool, format string, args ...any) {
	mark := "ok "
	if !ok {
		mark = "WRONG"
		d.wrong++
	}
	fmt.Fprintf(d.out, "  %s %s\n", mark, fmt.Sprintf(format, args...))
}

// start builds the advisory database and assembles a server as `serve` does.
func (d *demo) start(ctx context.Context, log *slog.Logger) error {
	sources, err := fs.Sub(demoAdvisories, "advisories")
	if err != nil {
		return err
	}
	built, err := advisory.Build(ctx, advisory.BuildOptions{From: sources, Out: filepath.Join(d.dir, "advisories")})
	if err != nil {
		return err
	}
	d.say("  advisory database: %d real advisories, as of %s", built.Summary.Advisories(), built.UpdatedAt.Format(time.DateOnly))
	c, err := d.config()
	if err != nil {
		return err
	}
	if d.app, err = app.New(ctx, c, log, d.version); err != nil {
		return err
	}
	if d.server, err = d.app.Start(ctx); err != nil {
		return errors.Join(err, d.app.Close())
	}
	d.say("  registry:          %s (in this process)", d.registry.Host)
	d.say("  webhooks and API:  %s", d.url("http"))
	d.say("  admission:         %s (TLS, own certificate)", d.url("admission"))
	d.say("  isolation:         %s", d.isolation())
	return nil
}

func (d *demo) isolation() string {
	i := d.app.Analyzer.Report().Isolation()
	if len(i.Missing) == 0 {
		return i.Level
	}
	return i.Level + "; not permitted here: " + strings.Join(i.Missing, ", ")
}

func (d *demo) url(listener string) string {
	scheme := "http"
	if listener == "admission" {
		scheme = "https"
	}
	return scheme + "://" + d.server.Addresses[listener].(*net.TCPAddr).String()
}

// Config is what a user would write, with loopback addresses and free ports.
func (d *demo) config() (app.Config, error) {
	secret := filepath.Join(d.dir, "hook-secret")
	if err := agree.WriteSecret(secret, []byte("demo-secret-0123456789")); err != nil {
		return app.Config{}, err
	}
	rules, err := d.rules()
	if err != nil {
		return app.Config{}, err
	}
	c := app.DefaultConfig()
	c.DataDir = filepath.Join(d.dir, "data")
	c.Store.URL = "sqlite://" + filepath.Join(c.DataDir, "digestgate.db")
	c.Listen = app.ListenConfig{HTTP: "127.0.0.1:0", Admission: "127.0.0.1:0", Private: "127.0.0.1:0"}
	r := app.RegistryConfig{Config: registry.DefaultConfig()}
	r.Name, r.Type, r.Host, r.PlainHTTP = RegistryName, "harbor", d.registry.Host, true
	r.Webhook = webhooks.Config{Auth: webhooks.AuthHeader, Header: "Authorization", SecretFiles: []string{secret}}
	c.Registries = []app.RegistryConfig{r}
	c.Advisories.Path, c.Advisories.Repositories = filepath.Join(d.dir, "advisories"), nil
	c.Advisories.Stale = advisory.StaleAllow
	c.Policy.Paths = []string{rules}
	c.Quota.Limit = 100
	return c, c.Validate()
}

// rules writes the starter set without the rule about the age of the data, which
// would warn of every image: the data in this program is as old as the program.
func (d *demo) rules() (string, error) {
	dir := filepath.Join(d.dir, "policies")
	if _, err := policy.WriteStarter(dir); err != nil {
		return "", err
	}
	return dir, os.Remove(filepath.Join(dir, "advisories.rego"))
}

// explore says what to try next.
func (d *demo) explore() {
	d.title("The server stays. Try, in another terminal:")
	for _, line := range d.commands() {
		d.say("  %s", line)
	}
	d.say("Or with any HTTP client:")
	d.say("  TOKEN=$(cat %s)", d.app.Token.Path)
	d.say("  curl -sH \"Authorization: Bearer $TOKEN\" '%s/api/v1/images'", d.url("http"))
	d.say("  curl -s %s/openapi.yaml", d.url("http"))
	d.say("  curl -s %s/metrics", d.url("private"))
	d.say("  curl -s %s/readyz", d.url("private"))
	d.say("Stop it with Ctrl-C; everything is in %s and is removed then.", d.dir)
}

// commands are lines for a shell that call this program as it was started.
func (d *demo) commands() []string {
	self := quoted(demoProgram())
	lines := []string{fmt.Sprintf("export DIGESTGATE_SERVER=%s DIGESTGATE_TOKEN_FILE=%s", d.url("http"), quoted(d.app.Token.Path))}
	for _, args := range []string{
		"images",
		"findings " + d.image("shop/web:1.0") + " --severity CRITICAL",
		"jobs",
		"wait " + d.image("shop/api:2.0"),
		"scan " + d.image("shop/web:1.0") + " --force",
		fmt.Sprintf("check %s --plain-http --set advisories.path=%s --set policy.paths=[%s]", d.image("shop/api:2.0"), quoted(d.app.Config.Advisories.Path), quoted(d.app.Config.Policy.Paths[0])),
	} {
		lines = append(lines, self+" "+args)
	}
	pod := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"api","namespace":"shop"},"spec":{"containers":[{"name":"app","image":"%s"}]}}`, d.image("shop/api:2.0"))
	return append(lines, fmt.Sprintf("echo '%s' | %s admit -f - --server %s --ca-file %s", pod, self, d.url("admission"), quoted(d.caFile())))
}

// demoProgram is the path or name that this program was started with.
func demoProgram() string {
	name := os.Args[0]
	if !strings.ContainsRune(name, os.PathSeparator) {
		return name // from the PATH
	}
	if path, err := filepath.Abs(name); err == nil {
		return path
	}
	return name
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@=+-]+$`)

// quoted is a word for a shell.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func (d *demo) caFile() string { return filepath.Join(d.app.Config.DataDir, "tls", "ca.crt") }

// image is the reference of a repository of the demo.
func (d *demo) image(rest string) string { return d.registry.Host + "/" + rest }

// entry reads what is stored of a digest.
func (d *demo) entry(ctx context.Context, digest gate.Digest) (gate.Entry, error) {
	res, err := d.app.Store.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{digest}, AllJobs: true})
	return res.Digests[digest], err
}
