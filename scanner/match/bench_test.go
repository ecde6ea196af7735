package match_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/match"
	"github.com/digestgate/digestgate/store/storetest/stock"
)

// benchmarkImage is an image of 352 Debian packages and 50 Go modules with the
// advisories for them: ten of each package, of which three apply.
func benchmarkImage() (*gate.Inventory, fstest.MapFS) {
	var y strings.Builder
	y.WriteString("distribution: debian\nrelease: '12'\nadvisories:\n")
	inv := debian("12")
	sources := fstest.MapFS{}
	for i := range 352 {
		inv.Packages = append(inv.Packages, deb(fmt.Sprintf("lib%d", i), fmt.Sprintf("src%d", i), "1.2.3-4+deb12u1"))
		for j := range 10 {
			fixed := "1.2.3-4+deb12u1"
			if j < 3 {
				fixed = "1.2.3-4+deb12u2"
			}
			fmt.Fprintf(&y, "- {package: src%d, id: CVE-2024-%d, fixedVersion: %q, severity: HIGH}\n", i, 10000+i*10+j, fixed)
		}
	}
	y.WriteString("vulnerabilities:\n")
	for i := range 3520 {
		fmt.Fprintf(&y, "- {id: CVE-2024-%d, severity: HIGH, title: 'a vulnerability of some length in its title', cvss: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H', references: ['https://example.com/%d'], description: %q}\n",
			10000+i, i, strings.Repeat("text ", 60))
	}
	sources["a.yaml"] = &fstest.MapFile{Data: []byte(y.String())}
	modules := gate.Application{Type: "gobinary", FilePath: "usr/bin/app"}
	for i := range 50 {
		name := fmt.Sprintf("example.com/m%d", i)
		modules.Packages = append(modules.Packages, gate.Package{ID: name + "@v1.2.3", Name: name, Version: "v1.2.3"})
		sources[fmt.Sprintf("GO-%d.json", i)] = &fstest.MapFile{Data: fmt.Appendf(nil,
			`{"id":"GO-%d","modified":"2024-01-01T00:00:00Z","summary":"s","affected":[{"package":{"name":%q,"ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.2.4"}]}]}]}`, i, name)}
	}
	inv.Applications = []gate.Application{modules}
	return inv, sources
}

// BenchmarkMatch is one image on one core; "decode" begins with the stored JSON.
func BenchmarkMatch(b *testing.B) {
	inv, sources := benchmarkImage()
	dir, g := build(b, sources)
	m := match.New(slog.New(slog.DiscardHandler), now)
	b.Cleanup(func() { _ = m.Close() })
	if err := m.Load(b.Context(), dir, g); err != nil {
		b.Fatal(err)
	}
	stored, err := json.Marshal(inv)
	if err != nil {
		b.Fatal(err)
	}
	if n := len(find(b, m, inv).Vulnerabilities); n != 352*3+50 {
		b.Fatalf("got %d findings", n)
	}
	run := func(b *testing.B, next func() *gate.Inventory) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.Match(b.Context(), next()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
	}
	b.Run("decoded", func(b *testing.B) { run(b, func() *gate.Inventory { return inv }) })
	b.Run("from_stored_json", func(b *testing.B) {
		run(b, func() *gate.Inventory {
			var inv gate.Inventory
			if err := json.Unmarshal(stored, &inv); err != nil {
				b.Fatal(err)
			}
			return &inv
		})
	})
	b.Run("forgetful", func(b *testing.B) {
		m := match.New(slog.New(slog.DiscardHandler), now)
		b.Cleanup(func() { _ = m.Close() })
		if err := m.Load(b.Context(), dir, g); err != nil {
			b.Fatal(err)
		}
		m.Forget()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.Match(b.Context(), inv); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
	})
	b.Run("new_number", func(b *testing.B) {
		for b.Loop() {
			g.Number++
			if err := m.Load(b.Context(), dir, g); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRematch is the match of 400 images of a large installation (10 bases × 20
// applications, 336 packages each) with a generation that was loaded a moment ago, by as
// many goroutines as there are processors. Decoding is not part of it.
func BenchmarkRematch(b *testing.B) {
	const images = 400
	s := stock.New(stock.Options{Images: images})
	sources := b.TempDir()
	if err := s.WriteSources(sources, stock.First); err != nil {
		b.Fatal(err)
	}
	dir, g := build(b, os.DirFS(sources))
	m := match.New(slog.New(slog.DiscardHandler), now)
	b.Cleanup(func() { _ = m.Close() })
	list := make([]*gate.Inventory, images)
	for i := range list {
		list[i] = s.Inventory(i)
	}
	found, began := 0, processorTime(b)
	b.ReportAllocs()
	for b.Loop() {
		g.Number++
		if err := m.Load(b.Context(), dir, g); err != nil {
			b.Fatal(err)
		}
		var next, sum atomic.Int64
		var group sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			group.Go(func() {
				for i := next.Add(1) - 1; i < images; i = next.Add(1) - 1 {
					f, err := m.Match(context.Background(), list[i])
					if err != nil {
						b.Error(err)
						return
					}
					sum.Add(int64(len(f.Vulnerabilities)))
				}
			})
		}
		group.Wait()
		found = int(sum.Load())
	}
	answers, bytes := m.Remembered()
	b.ReportMetric(float64(b.N*images)/(processorTime(b)-began).Seconds(), "images/cpu-s")
	b.ReportMetric(float64(found)/images, "findings/image")
	b.ReportMetric(float64(answers), "answers")
	b.ReportMetric(float64(bytes)/(1<<20), "MiB")
}

// processorTime is what the process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
