package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/cluster"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/store"
)

// private serves metrics and health. It is not meant to be reached from
// outside the cluster.
func (a *App) private() http.Handler {
	mux := http.NewServeMux()
	// called by: Prometheus
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{}))
	if a.refresher != nil {
		// called by: other processes of digestgate
		mux.Handle("GET "+advisory.PeerPath+"{content}/{file}", a.Advisories.Serve())
	}
	// called by: kubelet probes (livenessProbe)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		// Evaluations that never end have taken every slot: only a restart
		// gives them back.
		if a.policies != nil {
			if err := a.policies.Healthy(); err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				fmt.Fprintln(w, gate.Printable(err.Error(), 300))
				return
			}
		}
		fmt.Fprintln(w, "ok")
	})
	// called by: kubelet probes (readinessProbe), load balancers, operators
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		text, ready := a.ready(ctx)
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, text)
	})
	return mux
}

// storeCheckTimeout bounds the check of the store where admission is served:
// the kubelet waits 1 s for /readyz unless told otherwise.
const storeCheckTimeout = 800 * time.Millisecond

// storeProblem checks the store. served says, where admission continues meanwhile,
// by what: such a replica must stay ready. Otherwise Kubernetes would take all of
// them out of the service at once, and API servers would be refused connections
// instead of being given decisions.
func (a *App) storeProblem(ctx context.Context) (problem error, served string) {
	if a.copies == nil {
		return a.Store.Check(ctx), ""
	}
	ctx, cancel := context.WithTimeout(ctx, storeCheckTimeout)
	defer cancel()
	read := make(chan error, 1) // beside the check, which may take all the time
	go func() {
		_, err := a.Store.Admission().Read(ctx, gate.ReadRequest{})
		read <- err
	}()
	if problem = a.Store.Check(ctx); problem == nil {
		return nil, ""
	}
	var damaged *store.Damaged
	if errors.As(problem, &damaged) {
		return problem, "" // it does not pass by itself: docs/adr/0022-a-damaged-store.md
	}
	if <-read == nil {
		return problem, "it is read but not written: admission decides what is known, nothing new is queued"
	}
	if until, ok := a.copies.Serves(); ok {
		served = "admission decides from local copies until " + until.UTC().Format(time.RFC3339)
	}
	return problem, served
}

// ready lists the checks, one line each; a line with "fail" makes the replica
// unready, one with "warn" does not.
func (a *App) ready(ctx context.Context) (text string, ok bool) {
	var b strings.Builder
	ok = true
	check := func(name string, err error) {
		if err == nil {
			fmt.Fprintf(&b, "ok    %s\n", name)
			return
		}
		ok = false
		fmt.Fprintf(&b, "fail  %s: %s\n", name, gate.Printable(err.Error(), 300))
	}
	warn := func(name, text string) { fmt.Fprintf(&b, "warn  %s: %s\n", name, gate.Printable(text, 300)) }
	if a.stopping.Load() {
		check("stopping", errors.New("this process was told to stop; ask another replica"))
	}
	if problem := a.notReloaded.Load(); problem != nil {
		warn("configuration", "the earlier one stays in force: "+*problem)
	}
	problem, served := a.storeProblem(ctx)
	switch {
	case problem != nil && served != "":
		warn("store", served+": "+problem.Error())
	default:
		check("store", problem)
	}
	for _, text := range a.Config.undone() {
		warn("roles", text)
	}
	if a.keeper != nil {
		if err := a.keeper.Problem(); err != nil {
			warn("webhook configuration", "it cannot be kept current: "+err.Error())
		}
	}
	if a.policies != nil {
		st := a.policies.Status()
		in := fmt.Sprintf("policies: activation %d (%s), by %s at %s", st.Activation, st.Content.Short(), st.By, st.ActivatedAt.UTC().Format(time.RFC3339))
		if err := a.policies.Healthy(); err != nil {
			check("policies", err)
		} else {
			check(in, nil)
		}
		for _, problem := range st.Problems() {
			warn("policies", problem)
		}
	}
	// Without advisories known images are still decided; new ones wait.
	if a.Advisories != nil {
		st := a.Advisories.Status()
		if st.Problem != "" {
			warn("advisories", st.Problem)
		}
		for _, note := range st.Notes {
			warn("advisories", note)
		}
	}
	if a.tables != nil {
		for _, problem := range a.tables.Problems() {
			warn("tables", problem)
		}
	}
	if a.notifier != nil {
		for _, problem := range a.notifier.Problems() {
			warn("notifications", problem)
		}
	}
	if a.namespaces != nil && a.policies.ReadsNamespace() {
		if silent, ever := a.namespaces.Silent(); !ever {
			warn("kubernetes", "the namespaces of the cluster have not been listed yet, policies that read their labels ask for each")
		} else if silent > cluster.MaxSilence {
			warn("kubernetes", fmt.Sprintf("the watch of namespaces has been silent for %s, policies that read their labels ask for each", silent.Round(time.Second)))
		}
	}
	if a.Analyzer != nil {
		for _, missing := range a.Analyzer.Report().Isolation().Missing {
			warn("isolation", missing)
		}
	}
	return b.String(), ok
}
