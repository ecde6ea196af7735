package analyzer_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
	"github.com/digestgate/digestgate/scanner/registry"
)

// benchImage adds the image that the benchmarks analyse: one layer, the gzip
// file that DIGESTGATE_BENCH_LAYER names (docs/performance.md says how to make
// one of a real Debian), or a small Debian of two packages, which measures the
// children's start only. The file is streamed, because a child's largest size
// is counted from that of its parent on.
func benchImage(b *testing.B, src *source) gate.Digest {
	name := os.Getenv("DIGESTGATE_BENCH_LAYER")
	if name == "" {
		return src.add([]layer{tarLayer(b, debianFiles...)}, nil)
	}
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	packed, unpacked := sha256.New(), sha256.New()
	z, err := gzip.NewReader(io.TeeReader(f, packed))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(unpacked, z); err != nil {
		b.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	sum := func(h hash.Hash) gate.Digest { return gate.Digest("sha256:" + hex.EncodeToString(h.Sum(nil))) }
	d := src.add([]layer{{nil, sum(unpacked)}}, nil)
	src.edit(d, func(i *registry.Image) { i.Layers[0].Digest, i.Layers[0].Size = sum(packed), info.Size() })
	src.spoil = func(context.Context, gate.Digest, io.Reader) (io.ReadCloser, error) { return os.Open(name) }
	return d
}

// BenchmarkAnalyze is one analysis from manifest to inventory, with nothing
// known before and with all layers known.
func BenchmarkAnalyze(b *testing.B) {
	for name, bench := range map[string]struct {
		risks  []gate.Risk
		cached bool
	}{
		"packages":             {[]gate.Risk{gate.RiskVulnerabilities}, false},
		"packages_and_secrets": {gate.SupportedRisks(), false},
		"layers_known":         {gate.SupportedRisks(), true},
	} {
		b.Run(name, func(b *testing.B) {
			src := &source{}
			d := benchImage(b, src)
			a := withRealChild(b, src, func(o *analyzer.Options) {
				o.Config.Risks = bench.risks
				if !bench.cached {
					o.Config.Cache.MaxBytes = 0
				}
			})
			var inv *gate.Inventory
			if bench.cached {
				analyze(b, a, d)
			}
			pulled := len(src.pulled())
			before, _ := usage(b)
			for b.Loop() {
				inv = analyze(b, a, d)
			}
			after, largest := usage(b)
			b.ReportMetric((after-before).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(largest)/1024, "MiB-largest-child")
			if bench.cached && len(src.pulled()) != pulled {
				b.Error("known layers were pulled again")
			}
			b.ReportMetric(float64(inv.PackageCount()), "packages")
			b.ReportMetric(float64(len(inv.Secrets)), "secrets")
			b.ReportMetric(float64(len(inv.Errors)), "errors")
		})
	}
}

// usage is the processor time of this process and of its ended children, and
// the largest size of one of these in KiB.
func usage(b *testing.B) (cpu time.Duration, largest int64) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		cpu += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		largest = u.Maxrss
	}
	return cpu, largest
}
