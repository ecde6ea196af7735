package download

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The outcomes of a download.
const (
	outcomeNew       = "new"       // other data than that in force, and handed on
	outcomeUnchanged = "unchanged" // nothing was downloaded
	outcomeFailed    = "failed"    // no repository had usable data
)

// metrics are registered by [Downloader.Describe].
type metrics struct {
	downloads *prometheus.CounterVec // by outcome
	bytes     prometheus.Counter
}

func newMetrics(artifact string) metrics {
	labels := prometheus.Labels{"artifact": artifact}
	m := metrics{
		downloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "digestgate_advisories_downloads_total", Help: "Times that repositories were asked for advisory data, by outcome.", ConstLabels: labels,
		}, []string{"outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "digestgate_advisories_downloaded_bytes_total", Help: "Bytes of advisory data that were downloaded.", ConstLabels: labels,
		}),
	}
	for _, o := range []string{outcomeNew, outcomeUnchanged, outcomeFailed} {
		m.downloads.WithLabelValues(o)
	}
	return m
}

// Describe registers what the downloads come to. Repositories are told apart by their
// references, which are those of the configuration.
func (d *Downloader) Describe(reg prometheus.Registerer) {
	reg.MustRegister(d.metrics.downloads, d.metrics.bytes)
	described := map[string]bool{}
	for _, m := range d.mirrors {
		if described[m.Name()] {
			continue // written twice
		}
		described[m.Name()] = true
		labels := prometheus.Labels{"artifact": d.artifact.Name, "repository": m.Name()}
		for _, g := range []struct {
			prometheus.GaugeOpts
			value func(Mirror) float64
		}{
			{prometheus.GaugeOpts{
				Name: "digestgate_advisories_mirror_usable", Help: "1 when the last answer of the repository could be used or it was not asked yet, 0 when not.", ConstLabels: labels,
			}, usable},
			{prometheus.GaugeOpts{
				Name: "digestgate_advisories_mirror_success_timestamp_seconds", Help: "When an answer of the repository could last be used; 0: not since this process started.", ConstLabels: labels,
			}, func(s Mirror) float64 { return seconds(s.WorkedAt) }},
			{prometheus.GaugeOpts{
				Name: "digestgate_advisories_mirror_rests_until_timestamp_seconds", Help: "Until when the repository is not asked, because it failed; 0: it may be asked.", ConstLabels: labels,
			}, restsUntil},
		} {
			reg.MustRegister(prometheus.NewGaugeFunc(g.GaugeOpts, func() float64 { return g.value(m.status(d.now())) }))
		}
	}
}

func usable(s Mirror) float64 {
	if s.State == MirrorOK || s.State == MirrorUnasked {
		return 1
	}
	return 0
}

func restsUntil(s Mirror) float64 {
	if s.State != MirrorResting {
		return 0
	}
	return seconds(s.RestsUntil)
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
