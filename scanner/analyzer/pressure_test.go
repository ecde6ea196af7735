package analyzer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// peak is how much more memory this process had at its most, while do ran, than
// before it, in bytes. The test is skipped where the system does not say.
func peak(t *testing.T, do func()) int64 {
	t.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skipf("the peak of memory cannot be reset here: %v", err)
	}
	before := memoryLine(t, "VmRSS")
	do()
	return memoryLine(t, "VmHWM") - before
}

func memoryLine(t *testing.T, name string) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Skipf("the system does not say %s", name)
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// whiteouts is a layer of n removals.
func whiteouts(t *testing.T, n int) layer {
	t.Helper()
	var blob bytes.Buffer
	sum := sha256.New()
	z, err := gzip.NewWriterLevel(&blob, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(io.MultiWriter(z, sum))
	for i := range n {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("d%d/.wh.f%d", i%1000, i), Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return layer{blob.Bytes(), gate.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil)))}
}

// TestRealPressureOnTheWorker: what a child finds passes through the worker in
// pieces, also what was in the cache; 1.5 million whiteouts took 0.5 GiB of it.
func TestRealPressureOnTheWorker(t *testing.T) {
	l := whiteouts(t, 1_500_000)
	src := &source{}
	a := withRealChild(t, src, func(o *analyzer.Options) { o.Config.Timeout = time.Hour })
	d := src.add([]layer{l}, nil)
	for _, from := range []string{"the child", "the cache"} {
		var err error
		took := peak(t, func() { _, err = a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: d}) })
		t.Logf("from %s: %d MiB, %v", from, took>>20, err)
		if took > analyzer.AnalysisMemory {
			t.Errorf("from %s: the worker took %d MiB, want %d at most", from, took>>20, analyzer.AnalysisMemory>>20)
		}
	}
}

// TestPressureOfAnInventory: the largest one that is taken stays within what is
// reckoned for an analysis.
func TestPressureOfAnInventory(t *testing.T) {
	src := &source{}
	a := open(t, fakeChild(t, "mergelarge"), src, nil)
	d := src.add([]layer{tarLayer(t, file("a", "b"))}, nil)
	// The least of three: on a busy machine the collector lags behind by some of what
	// it could have freed.
	var inv *gate.Inventory
	took := int64(math.MaxInt64)
	for range 3 {
		took = min(took, peak(t, func() { inv = analyze(t, a, d) }))
	}
	raw, err := json.Marshal(inv)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d packages, %d of %d bytes of JSON: %d MiB", len(inv.Packages), len(raw), protocol.MaxAnswerBytes, took>>20)
	if took > analyzer.AnalysisMemory {
		t.Errorf("the worker took %d MiB, want %d at most", took>>20, analyzer.AnalysisMemory>>20)
	}
}

// repeats is a layer with one file of zeros of so many 16 MiB, as a zstd frame
// again and again.
func repeats(t *testing.T, frames int) layer {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 16<<20)
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(frames) * int64(len(zeros))}); err != nil {
		t.Fatal(err)
	}
	blob := enc.EncodeAll(head.Bytes(), nil)
	blob = append(blob, bytes.Repeat(enc.EncodeAll(zeros, nil), frames)...)
	return layer{append(blob, enc.EncodeAll(make([]byte, 1024), nil)...), digestOf(nil)} // nobody gets to its diffID
}

// TestRealPressureEndsAtALimit: what is made to keep a child busy ends at a stated
// limit, after one try and with a reason that no repetition changes.
func TestRealPressureEndsAtALimit(t *testing.T) {
	records := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	composer := `{"packages":[` + strings.TrimSuffix(records(210_000, `{"name":"a/b%d","version":"1.0.0"},`), ",") + `]}`
	const dpkgRecord, apkRecord = "Package: p%d\nStatus: install ok installed\nVersion: 1\n\n", "P:p%d\nV:1\nA:x\n\n"
	for name, tt := range map[string]struct {
		layers []layer
		gap    string // an inventory with this gap
		fails  string // or unassessable with this text
	}{
		"line_feeds":           {layers: debianWith(t, strings.Repeat("\n", 60<<20)), gap: "more than 100000 records or empty lines"},
		"line_feeds_of_dos":    {layers: debianWith(t, strings.Repeat("\r\n", 30<<20)), gap: "more than 100000 records or empty lines"},
		"too_many_bytes":       {layers: debianWith(t, strings.Repeat("x", 65<<20)), gap: "more than 64MiB"},
		"one_record_of_lines":  {layers: debianWith(t, strings.Repeat("a:b\n", 6_000_000)), gap: "more than 5000000 lines"},
		"many_packages_dpkg":   {layers: debianWith(t, records(500_000, dpkgRecord)), gap: "more than 100000 records"},
		"many_packages_apk":    {layers: tarLayers(t, [][]entry{{file("etc/alpine-release", "3.18.4\n"), file("lib/apk/db/installed", records(500_000, apkRecord))}}), gap: "more than 100000 records"},
		"many_packages_of_php": {layers: tarLayers(t, [][]entry{{file("app/vendor/composer/installed.json", composer)}}), fails: "list 210000 packages, more than 200000"},
		"packages_of_layers":   {layers: manyLayers(t, 5, 90_000, dpkgRecord), fails: "list more than 419430 packages"},
		"packages_of_an_image": {layers: manyLayers(t, 2, 90_000, dpkgRecord), fails: "the inventory takes"},
		"zstd_repeats":         {layers: []layer{repeats(t, 30<<30/(16<<20))}, fails: "unpacks to more than 4GiB"},
	} {
		t.Run(name, func(t *testing.T) {
			src := &source{}
			a := withRealChild(t, src, nil)
			start := time.Now()
			inv, err := a.Analyze(t.Context(), gate.AnalyzeRequest{Digest: src.add(tt.layers, nil)})
			t.Logf("after %s: %v", time.Since(start).Round(time.Millisecond), err)
			switch {
			case tt.fails != "":
				if !errors.Is(err, gate.ErrUnassessable) || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("got %v, want it unassessable: %s", err, tt.fails)
				}
			case err != nil:
				t.Error(err)
			case len(inv.Errors) == 0 || inv.Errors[0].Kind != gate.GapTooLarge || !strings.Contains(inv.Errors[0].Message, tt.gap):
				t.Errorf("got the gaps %+v, want %q", inv.Errors, tt.gap)
			case inv.Risks[gate.RiskVulnerabilities].Coverage != gate.Partial:
				t.Errorf("got %+v", inv.Risks[gate.RiskVulnerabilities])
			}
		})
	}
}

func debianWith(t *testing.T, status string) []layer {
	t.Helper()
	return tarLayers(t, [][]entry{{file("etc/os-release", debianRelease), file("var/lib/dpkg/status", status)}})
}

// manyLayers have n packages each, in a file of their own, under the limit of one.
func manyLayers(t *testing.T, layers, n int, format string) []layer {
	t.Helper()
	var out []layer
	for i := range layers {
		var b strings.Builder
		for k := range n {
			fmt.Fprintf(&b, format, i*n+k)
		}
		out = append(out, tarLayer(t, file("etc/os-release", debianRelease), file(fmt.Sprintf("var/lib/dpkg/status.d/p%d", i), b.String())))
	}
	return out
}
