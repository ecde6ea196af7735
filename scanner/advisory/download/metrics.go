package download

import "github.com/prometheus/client_golang/prometheus"

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
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "digestgate_advisories_mirror_usable", Help: "1 when the last answer of the repository could be used or it was not asked yet, 0 when not.",
			ConstLabels: prometheus.Labels{"artifact": d.artifact.Name, "repository": m.Name()},
		}, func() float64 {
			if s := m.status(d.now()).State; s == MirrorOK || s == MirrorUnasked {
				return 1
			}
			return 0
		}))
	}
}
