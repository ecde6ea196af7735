//go:build goexperiment.jsonv2

package child

import (
	"os"
	"testing"

	"github.com/digestgate/digestgate/scanner/analyzer"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// BenchmarkReadLayer is the child's work without its sandbox and its process,
// for profiles. DIGESTGATE_BENCH_LAYER names a layer as in scanner/analyzer.
func BenchmarkReadLayer(b *testing.B) {
	name := os.Getenv("DIGESTGATE_BENCH_LAYER")
	if name == "" {
		b.Skip("set DIGESTGATE_BENCH_LAYER to the file of a layer")
	}
	for what, secrets := range map[string]protocol.Secrets{
		"packages":               {},
		"packages_and_secrets":   {Enabled: true, MaxFileBytes: 20 << 20, SkipPaths: analyzer.DefaultSkipPaths()},
		"and_secrets_everywhere": {Enabled: true, MaxFileBytes: 20 << 20},
	} {
		b.Run(what, func(b *testing.B) {
			for b.Loop() {
				f, err := os.Open(name)
				if err != nil {
					b.Fatal(err)
				}
				unit := protocol.Unit{Secrets: secrets}
				if _, err := readLayer(b.Context(), &tools{}, f, unit, protocol.Read{}); err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
		})
	}
}
