package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// BenchmarkHoldings is what a new generation costs a scheduler of DIGESTGATE_IMAGES
// images (1,000 unless it is set) with 336 packages and 195 findings each: of 200 changed
// packages, 20 of each of 10 bases' worth, a fifth of the images hold one. "shared":
// images are of 10 bases and 20 applications; "apart": every image has sets of its own.
func BenchmarkHoldings(b *testing.B) {
	n := 1000
	if text := os.Getenv("DIGESTGATE_IMAGES"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	for _, apart := range []bool{false, true} {
		name := "shared"
		if apart {
			name = "apart"
		}
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			h := heldImages(b, dir, n, apart)
			touched := gate.Touched{Class: func(string) bool { return false }}
			for i := range 200 {
				touched.Packages = append(touched.Packages, fmt.Sprintf("debian 12\x00base-%d-%d", i%2, i/2))
			}
			var hit, all int
			b.Run("difference", func(b *testing.B) {
				for b.Loop() {
					hit, all = 0, 0
					err := h.Untouched(b.Context(), touched, func(one gate.Holding) error {
						all++
						if one.Touched {
							hit++
						}
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(hit), "touched")
			})
			if all != n || hit == 0 || hit == n {
				b.Fatalf("%d of %d images are touched", hit, all)
			}
			b.Run("with_package", func(b *testing.B) {
				for b.Loop() {
					if list, err := h.WithPackage(b.Context(), "debian 12\x00base-3-7"); err != nil || len(list) == 0 {
						b.Fatal(len(list), err)
					}
				}
			})
			b.Run("with_vulnerability", func(b *testing.B) {
				for b.Loop() {
					if _, err := h.WithVulnerability(b.Context(), "CVE-2024-4-17"); err != nil {
						b.Fatal(err)
					}
				}
			})
			info, err := os.Stat(filepath.Join(dir, "catalog.db"))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size())/float64(n), "B/image")
		})
	}
}

// heldImages is a catalog that has read n images.
func heldImages(tb testing.TB, dir string, n int, apart bool) *Holdings {
	tb.Helper()
	ctx := context.Background()
	c, err := Open(ctx, dir, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	h := c.Holdings(HoldingsOptions{Format: "1"})
	random := rand.New(rand.NewPCG(1, 1))
	for at := 0; at < n; at += 500 {
		err := c.write(ctx, func(w *writer) error {
			k := keeper{writer: w, terms: map[string]int64{}}
			for i := at; i < min(n, at+500); i++ {
				one := heldImage(i, apart, random)
				r := gate.Record{
					Digest: one.digest, Version: 1, InventoryID: fmt.Sprintf("sha256:%064x", i), FindingsID: fmt.Sprintf("sha256:%064x", i+n),
					Manifest: gate.Manifest{Digest: one.digest, Kind: gate.KindImage},
				}
				r.FindingsOf = r.InventoryID
				one.inventory, one.findings = rawID(r.InventoryID), rawID(r.FindingsID)
				k.put(one)
				w.image(one.digest, gate.Entry{Record: r})
			}
			return w.err
		})
		if err == nil {
			err = h.segment(ctx)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	for range 3 * n / segmentSets {
		if err := h.segment(ctx); err != nil {
			tb.Fatal(err)
		}
	}
	return h
}

func heldImage(i int, apart bool, random *rand.Rand) holding {
	base, application := i%10, i/10%20
	one := holding{digest: gate.Digest(fmt.Sprintf("sha256:%064x", uint64(i)*0x9e3779b97f4a7c15)), generation: 1, advisories: "sha256:a"}
	one.lookups.Class = fmt.Sprint("base ", base)
	for p := range 136 {
		one.lookups.Packages = append(one.lookups.Packages, fmt.Sprintf("debian 12\x00base-%d-%d", base, p))
	}
	for p := range 200 {
		one.lookups.Libraries = append(one.lookups.Libraries, fmt.Sprintf("npm::\x00app-%d-%d", application, p))
	}
	for v := range 195 {
		one.lookups.Vulnerabilities = append(one.lookups.Vulnerabilities, fmt.Sprintf("CVE-2024-%d-%d", base, v))
	}
	if apart {
		for _, list := range []*[]string{&one.lookups.Packages, &one.lookups.Libraries, &one.lookups.Vulnerabilities} {
			for range 3 {
				at := random.IntN(len(*list))
				*list = slices.Delete(*list, at, at+1)
			}
		}
	}
	for _, list := range []*[]string{&one.lookups.Packages, &one.lookups.Libraries, &one.lookups.Vulnerabilities} {
		slices.Sort(*list)
	}
	return one
}
