package rootfs

import (
	"fmt"
	"testing"
)

// BenchmarkResolve is what resolving costs for each entry of an image without
// oddities and of one with them.
func BenchmarkResolve(b *testing.B) {
	for _, odd := range []bool{false, true} {
		b.Run(fmt.Sprintf("odd=%v", odd), func(b *testing.B) {
			var layers [][]Entry
			for l := range 4 {
				var layer []Entry
				for d := range 250 {
					layer = append(layer, Entry{Name: fmt.Sprintf("usr/share/%d/%d", l, d), Kind: Directory})
					for f := range 100 {
						layer = append(layer, Entry{Name: fmt.Sprintf("usr/share/%d/%d/file-%d", l, d, f), Kind: File, Mode: 0o644})
					}
				}
				layers = append(layers, layer)
			}
			if odd {
				layers[1] = append(layers[1], Entry{Name: "x", Kind: Hardlink, Link: "usr/share/0/0/file-0"})
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Resolve(layers); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/101_000, "ns/entry")
		})
	}
}
