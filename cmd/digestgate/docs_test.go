package main

import (
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/gate/cluster"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/retention"
	"github.com/digestgate/digestgate/gate/scantask"
	"github.com/digestgate/digestgate/gate/schedule"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/gate/work"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/download"
	advisorysource "github.com/digestgate/digestgate/scanner/advisory/source"
	joinedtables "github.com/digestgate/digestgate/scanner/joined"
	"github.com/digestgate/digestgate/scanner/joined/beside"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/webhooks"
)

// documentedKey is a row of a table in docs/configuration.md.
var documentedKey = regexp.MustCompile("(?m)^\\| `([a-zA-Z0-9.\\[\\]]+)` \\| `([^|]*)` \\| (.+) \\|$")

// TestConfigurationPage compares the page with the program: every key, also of
// the elements of lists, stands there once, with its default.
func TestConfigurationPage(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, row := range documentedKey.FindAllStringSubmatch(read(t, "../../docs/configuration.md"), -1) {
		if _, twice := got[row[1]]; twice {
			t.Errorf("%s stands there twice", row[1])
		}
		got[row[1]] = row[2]
	}
	want := map[string]string{}
	defaultsOf(t, "", reflect.ValueOf(app.DefaultConfig()), want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys and defaults (-program +page):\n%s", diff)
	}
	documented := slices.Collect(maps.Keys(got))
	for _, path := range app.KeyPaths() {
		if !slices.Contains(documented, path) {
			t.Errorf("key %s is not documented", path)
		}
	}
}

// defaultsOf writes every key below v with its value as one line of YAML.
func defaultsOf(t *testing.T, prefix string, v reflect.Value, into map[string]string) {
	t.Helper()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if options == "inline" {
			defaultsOf(t, prefix, v.Field(i), into)
			continue
		}
		path, value := prefix+name, v.Field(i)
		if value.Kind() == reflect.Struct {
			defaultsOf(t, path+".", value, into)
			continue
		}
		into[path] = oneLine(t, value.Interface())
		if kind := value.Kind(); kind != reflect.Slice && kind != reflect.Map || value.Type().Elem().Kind() != reflect.Struct {
			continue
		}
		element := reflect.New(value.Type().Elem()).Elem()
		if d, ok := element.Addr().Interface().(interface{ SetDefaults() }); ok {
			d.SetDefaults()
		}
		if path == "registries" {
			element.Set(reflect.ValueOf(app.RegistryConfig{Config: registry.DefaultConfig(), Webhook: webhooks.DefaultConfig()}))
		}
		if value.Kind() == reflect.Map {
			defaultsOf(t, path+".NAME.", element, into)
		} else {
			defaultsOf(t, path+"[].", element, into)
		}
	}
}

func oneLine(t *testing.T, value any) string {
	t.Helper()
	var node yaml.Node
	if err := node.Encode(value); err != nil {
		t.Fatal(err)
	}
	flow(&node)
	text, err := yaml.Marshal(&node)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ") // long lists are wrapped
}

func flow(n *yaml.Node) {
	n.Style |= yaml.FlowStyle
	if n.Kind == yaml.ScalarNode {
		n.Style = 0
		if n.Value == "" {
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	for _, c := range n.Content {
		flow(c)
	}
}

// metricRow is a row of the table of metrics in docs/operations.md.
var (
	metricRow    = regexp.MustCompile("(?m)^\\| `(digestgate_[a-z_]+)(?:\\{([a-z,]+)\\})?` \\|")
	metricName   = regexp.MustCompile(`(?:Name:\s+|NewDesc\()"(digestgate_[a-z_]+)"`)
	metricOfDesc = regexp.MustCompile(`fqName: "(digestgate_[a-z_]+)".*constLabels: \{(.*)\}, variableLabels: \{([a-z,]*)\}`)
	constLabel   = regexp.MustCompile(`([a-z]+)="`)
	codeRow      = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|")
	logRow       = regexp.MustCompile("(?m)^\\| ((?:`[^`]+`(?:, )?)+) \\| (?:info|warn|error)[a-z, ]* \\|")
)

// TestOperationsPage compares the tables of the page with the program.
func TestOperationsPage(t *testing.T) {
	t.Parallel()
	page := read(t, "../../docs/operations.md")
	source := sources(t)
	t.Run("metrics", func(t *testing.T) {
		got, inSource := map[string]string{}, map[string]string{}
		for _, row := range metricRow.FindAllStringSubmatch(page, -1) {
			got[row[1]] = row[2]
		}
		want := registered(t)
		for _, m := range metricName.FindAllStringSubmatch(source, -1) {
			inSource[m[1]] = want[m[1]]
		}
		if diff := cmp.Diff(inSource, got); diff != "" {
			t.Errorf("metrics and their labels (-program +page):\n%s", diff)
		}
	})
	t.Run("codes", func(t *testing.T) {
		var got []string
		for _, row := range codeRow.FindAllStringSubmatch(page, -1) {
			got = append(got, row[1])
		}
		want := map[string]bool{}
		for _, class := range gate.Errors() {
			want[string(class.Code)] = true
		}
		slices.Sort(got)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), got); diff != "" {
			t.Errorf("codes (-program +page):\n%s", diff)
		}
	})
	t.Run("log_lines", func(t *testing.T) {
		rows := logRow.FindAllStringSubmatch(read(t, "../../docs/log.md"), -1)
		if len(rows) < 10 {
			t.Errorf("%d rows were found", len(rows))
		}
		for _, row := range rows {
			for message := range strings.SplitSeq(row[1], ", `") {
				if message = strings.Trim(message, "`"); !strings.Contains(source, `"`+message+`"`) {
					t.Errorf("nothing logs %q", message)
				}
			}
		}
	})
}

// registered are the metrics of the packages that make theirs with a
// Registerer, with their labels.
func registered(t *testing.T) map[string]string {
	t.Helper()
	reg := prometheus.NewRegistry()
	lookup.NewMetrics(reg)
	notify.NewMetrics(reg)
	work.NewMetrics(reg)
	intake.NewMetrics(reg)
	registrysync.NewMetrics(reg)
	retention.NewMetrics(reg)
	scantask.NewMetrics(reg)
	schedule.NewMetrics(reg)
	webhooks.NewMetrics(reg)
	redis.NewMetrics(reg)
	if _, err := admission.NewRecorder(reg); err != nil {
		t.Fatal(err)
	}
	d, err := download.New(download.Options{Artifact: download.Database(), Repositories: []download.Repository{{Repository: "mirror.example.com/trivy-db:2"}}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	d.Describe(reg)
	data := advisory.Default()
	data.Sources = []advisorysource.Config{{Name: "acme"}}
	advisory.NewManager(advisory.Options{Config: data, DataDir: t.TempDir()}).Describe(reg)
	tables, err := joinedtables.New(joinedtables.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	tables.Describe(reg)
	catalog.NewQueueMetrics(reg, nil)
	(&beside.Finder{}).Describe(reg)
	watch := cluster.Default()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	watch.Server = server.URL
	watch.CAFile = write(t, filepath.Join(t.TempDir(), "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), 0o600)
	watch.TokenFile = write(t, filepath.Join(t.TempDir(), "token"), "token", 0o600)
	namespaces, err := cluster.NewNamespaces(watch, "test", slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	namespaces.Describe(reg)
	descs := make(chan *prometheus.Desc, 100)
	reg.Describe(descs)
	close(descs)
	found := map[string]string{}
	for d := range descs {
		if m := metricOfDesc.FindStringSubmatch(d.String()); m != nil {
			var labels []string
			for _, label := range constLabel.FindAllStringSubmatch(m[2], -1) {
				labels = append(labels, label[1])
			}
			if m[3] != "" {
				labels = append(labels, m[3])
			}
			found[m[1]] = strings.Join(labels, ",")
		}
	}
	if len(found) < 10 {
		t.Errorf("%d metrics are registered: %v", len(found), found)
	}
	return found
}

// sources is the text of the program without its tests.
func sources(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, root := range []string{"../../cmd", "../../gate", "../../policy", "../../scanner", "../../store", "../../webhooks"} {
		walk(t, root, func(path string) {
			if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				text.WriteString(read(t, path))
			}
		})
	}
	return text.String()
}

// TestLinksInPages follows every relative link of the documentation and the
// examples.
func TestLinksInPages(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
			}
		}
	}
}

// TestThreatModelPage checks that the files that implement the controls are
// where the page says. A name without a folder is in that of the name before.
func TestThreatModelPage(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile(`(?m)^\| .* \| .* \| ([^|]+) \|$`)
	name := regexp.MustCompile("`([a-z/_-]+(?:\\.go)?)`")
	checked := 0
	for _, m := range row.FindAllStringSubmatch(read(t, "../../docs/threat-model.md"), -1) {
		dir := ""
		for _, n := range name.FindAllStringSubmatch(m[1], -1) {
			path := n[1]
			if !strings.Contains(path, "/") {
				path = dir + "/" + path
			}
			dir = filepath.ToSlash(filepath.Dir(path))
			if _, err := os.Stat("../../" + path); err != nil {
				t.Errorf("%s is not there", path)
			}
			checked++
		}
	}
	if checked < 60 {
		t.Errorf("%d files were found on the page, fewer than there were", checked)
	}
}
