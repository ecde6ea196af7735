package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/webhooks"
)

// watchEvery is how often the configuration file is looked at. What is changed
// by hand is in force after two looks; the kubelet takes up to a minute to
// bring a ConfigMap.
const watchEvery = time.Second

// reloader puts a changed configuration in force while the process runs, all of
// it or nothing: a half of an edit might admit what the other half refuses. What
// a running process cannot follow refuses the whole edit and names its keys.
type reloader struct {
	app     *App
	read    func() *loaded // with every problem
	current Config         // in force
	log     *slog.Logger
	agrees  prometheus.Gauge

	refusals int // since the start
}

func newReloader(a *App, read func() *loaded, current Config) *reloader {
	r := &reloader{app: a, read: read, current: current, log: a.Log, agrees: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "digestgate_config_reload_successful",
		Help: "1 when the configuration that was read last is in force, 0 when it was refused and the earlier one stays.",
	})}
	r.agrees.Set(1)
	a.Metrics.MustRegister(r.agrees)
	return r
}

// run follows the signal and the file until ctx ends. It is the only caller of
// the other methods.
func (r *reloader) run(ctx context.Context, signals <-chan os.Signal, watch *configWatch) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	named := func() []namedFile {
		files := namedFiles(r.current)
		if watch.file != "" {
			files = append(files, namedFile{configKey, watch.file})
		}
		return files
	}
	files := newFileWatch(r.log, named())
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			watch.accept()
			r.reload("SIGHUP")
		case <-ticker.C:
			back := files.look(named())
			switch {
			case watch.changed():
				r.reload("the file changed")
			case back && r.app.notReloaded.Load() != nil:
				r.reload("a file is back") // perhaps it was refused for want of it
			}
		}
	}
}

// reload reads the configuration and puts it in force, or says why not.
func (r *reloader) reload(cause string) {
	l := r.read()
	if err := l.Places.Err(); err != nil {
		r.refuse(cause, err)
		return
	}
	changed := differences(r.current, l.Config)
	var restart []difference
	for _, d := range changed {
		if !d.live() {
			restart = append(restart, d)
		}
	}
	if len(restart) > 0 {
		r.refuse(cause, fmt.Errorf("%s: needs a restart; until then nothing in the file is put in force, not even its other changes", shownDifferences(restart)))
		return
	}
	if err := r.app.reload(l.Config); err != nil {
		r.refuse(cause, err)
		return
	}
	r.current = l.Config
	r.app.notReloaded.Store(nil)
	r.agrees.Set(1)
	if len(changed) == 0 {
		r.log.Info("configuration read again: nothing has changed", "cause", cause)
		return
	}
	r.log.Info("configuration reloaded", "cause", cause, "changed", shownDifferences(changed))
	l.Warn()
	l.sayWarnings(r.log)
}

// refuse leaves in force what is.
func (r *reloader) refuse(cause string, err error) {
	text := strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", "; ")), " ")
	r.app.notReloaded.Store(&text)
	r.agrees.Set(0)
	// The number makes each line new, so that thinlog holds none back: a signal is answered.
	r.refusals++
	r.log.Error("configuration not reloaded: the earlier one stays in force", "cause", cause, "error", text, "refusals", r.refusals)
}

// reload puts the modes, namespaces, registries, VEX sources and notification targets of a
// valid configuration in force. Everything that can fail comes before anything is changed.
func (a *App) reload(next Config) error {
	table, err := gate.NewRegistries(next.RegistryList())
	if err != nil {
		return err
	}
	var source *registry.Client
	if a.Source != nil {
		if source, err = a.newSource(next); err != nil {
			return err
		}
	}
	var hooks *webhooks.Handler
	if a.hooks != nil {
		list, err := Endpoints(next.Registries, time.Now, a.Log)
		if err == nil {
			hooks, err = webhooks.NewHandler(list, nil, webhooks.Options{})
		}
		if err != nil {
			return errors.Join(err, closeSource(source))
		}
	}
	applyVEX, err := a.prepareVEX(next.Advisories.VEX)
	if err != nil {
		return errors.Join(err, closeSource(source))
	}
	applyVEX()
	if a.targets != nil {
		a.targets.Replace(next.Notifications)
	}
	if source != nil {
		a.Source.Replace(source)
	}
	a.Registries.Replace(table)
	a.lastEvents.Announce()
	if a.syncer != nil {
		a.syncer.Replace(syncPlans(next.Registries))
	}
	if hooks != nil {
		a.asksCertificates.Store(wantsCertificates(next.Registries))
		a.hooks.Replace(hooks)
	}
	if a.reviewer != nil {
		reviewed := a.Config.Admission
		reviewed.Mode, reviewed.Namespaces = next.Admission.Mode, next.Admission.Namespaces
		reviewed.ExemptNamespaces = slices.Clone(next.Admission.ExemptNamespaces)
		a.reviewer.Reconfigure(reviewed)
	}
	return nil
}

func closeSource(source *registry.Client) error {
	if source == nil {
		return nil
	}
	return source.Close()
}
