package runtimes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
	"github.com/digestgate/digestgate/scanner/registry"
)

var imagesFlag = flag.Int("images", 30, "how many random images are analysed")

// TestImages compares what the rigs show with the inventory of the real analyser
// (the program that DIGESTGATE_ANALYZER names), as TestStacks does with the
// model.
func TestImages(t *testing.T) {
	child := os.Getenv("DIGESTGATE_ANALYZER")
	if child == "" {
		t.Fatal("DIGESTGATE_ANALYZER is not set; build the program with make build and set the variable to bin/digestgate-analyzer")
	}
	child, err := filepath.Abs(child)
	if err != nil {
		t.Fatal(err)
	}
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	src := &memory{}
	a, err := analyzer.New(t.Context(), analyzer.Options{ChildPath: child, DataDir: t.TempDir(), Source: src, Config: analyzer.Default()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	j := &judge{analyzer: a, src: src}
	var c count
	for n := *firstFlag; n < *firstFlag+*imagesFlag; n++ {
		f, s := drawImage(seed, n)
		o, err := j.try(t.Context(), f, s)
		if err != nil {
			t.Fatalf("image %d of seed %d, %s: %v\n%s", n, seed, f.name, err, s)
		}
		c.add(o)
		if len(o.violations) == 0 {
			continue
		}
		kind := class(o.violations[0])
		s = append(f.base.Clone(), Shrink(s[len(f.base):], func(upper Stack) bool {
			o, err := j.try(t.Context(), f, append(f.base.Clone(), upper...))
			return err == nil && slices.ContainsFunc(o.violations, func(v string) bool { return class(v) == kind })
		})...)
		if o, err = j.try(t.Context(), f, s); err != nil {
			t.Fatal(err)
		}
		t.Errorf("image %d of seed %d, %s, shrunk:\n%s\n%s\n\n%s", n, seed, f.name, strings.Join(o.violations, "\n"), s, table(o.shown))
	}
	t.Logf("seed %d: images: %s", seed, &c)
}

// judge asks the analyser about images.
type judge struct {
	analyzer *analyzer.Analyzer
	src      *memory
}

func (j *judge) try(ctx context.Context, f flavour, s Stack) (o outcome, err error) {
	archives := make([][]byte, len(s))
	for i := range s {
		if archives[i], err = s.Archive(i, f.content); err != nil {
			return o, err
		}
	}
	var allowed map[string]Shown
	err = With(func(b *Bench) (err error) {
		if o.shown, err = b.show(s, archives); err == nil {
			allowed, err = b.allowed(s, f.content)
		}
		return err
	})
	if err != nil {
		return o, err
	}
	inv, err := j.analyzer.Analyze(ctx, gate.AnalyzeRequest{Digest: j.src.add(archives)})
	if errors.Is(err, gate.ErrUnassessable) {
		o.judgement.Unassessable = err.Error()
	} else if err != nil {
		return o, fmt.Errorf("analysing: %w", err)
	} else if r := inv.Risks[gate.RiskVulnerabilities]; r.Coverage != gate.Complete {
		o.judgement.Unassessable = "partial: " + r.Reason
	}
	o.violations = f.compare(o, allowed, inv)
	return o, nil
}

// compare checks the properties of [Compare] for packages.
func (f flavour) compare(o outcome, allowed map[string]Shown, inv *gate.Inventory) []string {
	if o.judgement.Unassessable != "" {
		if Agree(o.shown) {
			return []string{"all rigs show the same, but it is unassessable or partial: " + o.judgement.Unassessable}
		}
		return nil
	}
	listed := listed(inv)
	var out []string
	may := map[string]bool{}
	runs := false
	for _, name := range slices.Sorted(maps.Keys(o.shown)) {
		runs = runs || o.shown[name].Refused == nil
		for p, pkg := range f.packages(o.shown[name], f.read) {
			if !may[pkg] && !slices.Contains(listed, pkg) {
				out = append(out, fmt.Sprintf("missing: %s, which %s shows at %s", pkg, name, p))
			}
			may[pkg] = true
		}
	}
	// An analyser may know a file by a name that read does not.
	for _, shown := range []map[string]Shown{o.shown, allowed} {
		for _, s := range shown {
			for _, pkg := range f.packages(s, func(string) bool { return true }) {
				may[pkg] = true
			}
		}
	}
	for _, pkg := range listed {
		if runs && !may[pkg] {
			out = append(out, fmt.Sprintf("too much: %s, which no rig shows", pkg))
		}
	}
	return out
}

func listed(inv *gate.Inventory) []string {
	var out []string
	for _, p := range inv.Packages {
		out = append(out, p.Name+"@"+p.Version)
	}
	for _, a := range inv.Applications {
		for _, p := range a.Packages {
			out = append(out, a.Type+":"+p.Name+"@"+p.Version)
		}
	}
	return out
}

// memory serves images; it implements analyzer.Source.
type memory struct {
	images map[gate.Digest]registry.Image
	blobs  map[gate.Digest][]byte
}

func digestOf(b []byte) gate.Digest { return gate.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(b))) }

func (m *memory) add(archives [][]byte) gate.Digest {
	m.images, m.blobs = map[gate.Digest]registry.Image{}, map[gate.Digest][]byte{}
	img := registry.Image{Platform: gate.Platform{OS: "linux", Architecture: "amd64"}}
	var diffIDs []gate.Digest
	for _, a := range archives {
		d := digestOf(a)
		m.blobs[d] = a
		diffIDs = append(diffIDs, d)
		img.Layers = append(img.Layers, registry.Layer{Digest: d, DiffID: d, Size: int64(len(a)), MediaType: "application/vnd.oci.image.layer.v1.tar"})
		img.Size += int64(len(a))
	}
	img.Config, _ = json.Marshal(map[string]any{"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}})
	img.ConfigDigest = digestOf(img.Config)
	img.Manifest, _ = json.Marshal(map[string]any{"config": img.ConfigDigest, "layers": diffIDs})
	img.Digest = digestOf(img.Manifest)
	m.images[img.Digest] = img
	return img.Digest
}

func (m *memory) Image(_ context.Context, _ gate.Location, d gate.Digest) (registry.Image, error) {
	img, ok := m.images[d]
	if !ok {
		return img, gate.ErrNotFound
	}
	return img, nil
}

func (m *memory) Blob(_ context.Context, _ gate.Location, d gate.Digest, _ int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m.blobs[d])), nil
}
