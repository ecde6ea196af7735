package match_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/match"
)

// times is how often a property is tried: few times, or as often as
// DIGESTGATE_MATCH_IMAGES says.
func times(few int) int {
	if n, err := strconv.Atoi(os.Getenv("DIGESTGATE_MATCH_IMAGES")); err == nil {
		return n
	}
	return few
}

// someSources are random advisories about a few packages of Debian and Go.
func someSources(r *rand.Rand) fstest.MapFS {
	var y strings.Builder
	y.WriteString("distribution: debian\nrelease: '12'\nadvisories:\n")
	fs := fstest.MapFS{}
	for i := range 12 {
		for j := range r.IntN(4) {
			fix := "status: affected"
			if r.IntN(4) > 0 {
				fix = fmt.Sprintf("fixedVersion: '1.%d-1'", r.IntN(6))
			}
			fmt.Fprintf(&y, "- {package: src%d, id: CVE-2024-%d, %s, severity: HIGH}\n", i, 1000+i*10+j, fix)
		}
		fs[fmt.Sprintf("GO-%d.json", i)] = &fstest.MapFile{Data: fmt.Appendf(nil,
			`{"id":"GO-%d","modified":"2024-01-01T00:00:00Z","published":"2024-01-0%dT00:00:00Z","summary":"s%d","affected":[{"package":{"name":"example.com/m%d","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.%d.0"}]}]}]}`,
			i, 1+r.IntN(9), r.IntN(100), i, r.IntN(6))}
	}
	y.WriteString("vulnerabilities:\n")
	for i := range 120 {
		fmt.Fprintf(&y, "- {id: CVE-2024-%d, severity: %s, title: 'title %d', cvss: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H'}\n",
			1000+i, []string{"LOW", "HIGH", "CRITICAL"}[r.IntN(3)], r.IntN(100))
	}
	fs["a.yaml"] = &fstest.MapFile{Data: []byte(y.String())}
	return fs
}

// someImage is a random inventory of packages that other images have too, or nearly.
func someImage(r *rand.Rand) *gate.Inventory {
	inv := debian([]string{"12", "12", "12", "12.5", "77"}[r.IntN(5)])
	if r.IntN(8) == 0 {
		inv.OS = gate.OS{}
	}
	layer := func() gate.Digest { return gate.Digest(fmt.Sprintf("sha256:%064d", r.IntN(3))) }
	for range r.IntN(30) {
		n := r.IntN(14)
		p := deb(fmt.Sprintf("lib%d", n), fmt.Sprintf("src%d", n), fmt.Sprintf("1.%d-1", r.IntN(6)))
		p.Layer, p.UID = layer(), fmt.Sprint(r.Int())
		if r.IntN(4) == 0 {
			differ(r, &p)
		}
		if inv.OS.Family != "" {
			inv.Packages = append(inv.Packages, p)
		}
	}
	for a := range r.IntN(4) {
		app := gate.Application{Type: []string{"gobinary", "gobinary", "gomod", "jar"}[r.IntN(4)], FilePath: fmt.Sprintf("usr/bin/app%d", r.IntN(3)*a)}
		for range r.IntN(20) {
			n, v := r.IntN(14), fmt.Sprintf("v1.%d.0", r.IntN(6))
			p := gate.Package{ID: fmt.Sprintf("example.com/m%d@%s", n, v), Name: fmt.Sprintf("example.com/m%d", n), Version: v, Layer: layer()}
			if r.IntN(3) == 0 {
				p.FilePath = fmt.Sprintf("some/path%d", r.IntN(3))
			}
			if r.IntN(4) == 0 {
				differ(r, &p)
			}
			app.Packages = append(app.Packages, p)
		}
		inv.Applications = append(inv.Applications, app)
	}
	return inv
}

// differ changes one field of a package.
func differ(r *rand.Rand, p *gate.Package) {
	word := fmt.Sprintf("x%d", r.IntN(2))
	switch r.IntN(16) {
	case 0:
		p.ID += word
	case 1:
		p.Version = word
	case 2:
		p.Version = ""
	case 3:
		p.Release = word
	case 4:
		p.Epoch = r.IntN(3)
	case 5:
		p.Arch = word
	case 6:
		p.SrcName = fmt.Sprintf("src%d", r.IntN(14))
	case 7:
		p.SrcVersion = fmt.Sprintf("1.%d", r.IntN(6))
	case 8:
		p.SrcEpoch = r.IntN(3)
	case 9:
		p.Repository = &gate.PackageOrigin{Class: "third-party", Name: word}
	case 10:
		p.PURL = "pkg:" + word
	case 11:
		p.Name = "gpg-pubkey"
	case 12:
		p.ModularityLabel = word
	case 13:
		p.Name = "\xff" + word
	case 14:
		p.AnalyzedBy = []string{"dpkg", "rpm"}[r.IntN(2)]
	case 15:
		p.Release = "1.root.io"
	}
}

// TestMemo_changesNothing: what is found with all that is remembered of other images is
// found without it, byte for byte, and Trivy finds it in the whole image at once.
func TestMemo_changesNothing(t *testing.T) {
	for seed := range uint64(2) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir, g := build(t, someSources(r))
		open := func() *match.Matcher {
			m := match.New(slog.New(slog.DiscardHandler), now)
			t.Cleanup(func() { _ = m.Close() })
			if err := m.Load(t.Context(), dir, g); err != nil {
				t.Fatal(err)
			}
			return m
		}
		remembers, forgets := open(), open()
		forgets.Forget()
		findings, plain := 0, 0
		var before *gate.Inventory
		for range times(150) {
			inv := someImage(r)
			if before != nil && r.IntN(2) == 0 {
				inv = sameLists(r, before) // of which all is remembered at once
			}
			before = inv
			got, want := find(t, remembers, inv), find(t, forgets, inv)
			if diff := cmp.Diff(text(t, want), text(t, got)); diff != "" {
				t.Fatalf("%s\n(-forgets +remembers):\n%s", text(t, inv), diff)
			}
			findings += len(got.Vulnerabilities)
			spoil(got)
			if want.Unassessable != "" {
				continue
			}
			plain++
			found, eol, err := forgets.Plainly(t.Context(), inv)
			if diff := cmp.Diff(found, want.Vulnerabilities); err != nil || eol != want.EOL || diff != "" {
				t.Fatalf("%s\nat once: %v, end of life %t (-at once +by packages):\n%s", text(t, inv), err, eol, diff)
			}
		}
		if findings < 500 || plain < 20 {
			t.Errorf("%d findings, %d images that can be judged; the test says little", findings, plain)
		}
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sameLists is another image with the same lists of packages, but for what no detector
// looks at: layers and paths. One of its lists may be another.
func sameLists(r *rand.Rand, of *gate.Inventory) *gate.Inventory {
	inv := *of
	other := func(list []gate.Package) []gate.Package {
		list = slices.Clone(list)
		for i := range list {
			list[i].Layer = gate.Digest(fmt.Sprintf("sha256:%064d", r.IntN(9)))
			list[i].FilePath = []string{"", "other/path"}[r.IntN(2)]
		}
		if len(list) > 0 && r.IntN(3) == 0 {
			differ(r, &list[r.IntN(len(list))])
		}
		return list
	}
	inv.Packages, inv.Applications = other(of.Packages), slices.Clone(of.Applications)
	for i := range inv.Applications {
		inv.Applications[i].Packages = other(of.Applications[i].Packages)
		if r.IntN(2) == 0 {
			inv.Applications[i].FilePath = "another/file"
		}
	}
	return &inv
}

// spoil changes all of a result that can be changed.
func spoil(f *gate.Findings) {
	for i := range f.Vulnerabilities {
		v := &f.Vulnerabilities[i]
		if v.PublishedAt != nil {
			*v.PublishedAt = time.Unix(1, 0)
		}
		*v = gate.Vulnerability{ID: "spoilt", PublishedAt: v.PublishedAt}
	}
	for i := range f.Gaps {
		f.Gaps[i].Reason = "spoilt"
	}
}

// TestMemo_isOfOneGeneration: while generations come and go and many match the same
// images, each result is that of its own generation.
func TestMemo_isOfOneGeneration(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var images []*gate.Inventory
	for range 6 {
		images = append(images, someImage(r))
	}
	var dirs []string
	var gens []gate.Generation
	want := map[gate.Digest][]string{}
	for range 3 {
		dir, g := build(t, someSources(r))
		dirs, gens = append(dirs, dir), append(gens, g)
		m := match.New(nil, now)
		if err := m.Load(t.Context(), dir, g); err != nil {
			t.Fatal(err)
		}
		m.Forget()
		for _, inv := range images {
			want[g.Content] = append(want[g.Content], text(t, find(t, m, inv).Vulnerabilities))
		}
		_ = m.Close()
	}
	m := match.New(nil, now)
	t.Cleanup(func() { _ = m.Close() })
	load := func(n int) {
		g := gens[n%3]
		g.Number = int64(n + 1)
		if err := m.Load(context.Background(), dirs[n%3], g); err != nil {
			t.Error(err)
		}
	}
	load(0)
	stop := make(chan struct{})
	var group sync.WaitGroup
	for k := range 4 {
		group.Go(func() {
			for i := k; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				f, err := m.Match(context.Background(), images[i%len(images)])
				if err != nil {
					t.Error(err)
					return
				}
				if got := text(t, f.Vulnerabilities); got != want[f.Advisories][i%len(images)] {
					t.Errorf("image %d, generation %d: got %s", i%len(images), f.Generation, got)
					return
				}
				spoil(f)
			}
		})
	}
	for n := 1; n <= times(30); n++ {
		load(n)
		for _, inv := range images {
			_, _ = m.Match(t.Context(), inv)
		}
	}
	close(stop)
	group.Wait()
}

// TestMemo_newNumber: the same data under a new number remembers nothing of before.
func TestMemo_newNumber(t *testing.T) {
	dir, g := build(t, release(20, "2-1"))
	m := match.New(nil, now)
	t.Cleanup(func() { _ = m.Close() })
	for range 2 {
		if err := m.Load(t.Context(), dir, g); err != nil {
			t.Fatal(err)
		}
		if n, _ := m.Remembered(); n != 0 {
			t.Errorf("generation %d: %d answers are remembered before it was asked", g.Number, n)
		}
		find(t, m, installed(20))
		first, _ := m.Remembered()
		find(t, m, installed(20))
		if again, _ := m.Remembered(); first == 0 || again != first {
			t.Errorf("generation %d: %d answers after one image, %d after the same again", g.Number, first, again)
		}
		g.Number++
	}
}

// TestMemo_supplied: an image with a package of a third party is judged as one of theirs each
// time, also when the same list of packages comes again.
func TestMemo_supplied(t *testing.T) {
	dir, g := build(t, release(20, "2-1"))
	m := match.New(nil, now)
	t.Cleanup(func() { _ = m.Close() })
	if err := m.Load(t.Context(), dir, g); err != nil {
		t.Fatal(err)
	}
	own := debian("12", deb("p1", "p1", "1-1"), deb("p2", "p2", "1-1"))
	theirs := debian("12", deb("p1", "p1", "1-1"), deb("p2", "p2", "1-1.root.io.1"))
	for range 3 {
		if uses := find(t, m, own).Uses; uses == "" {
			t.Error("the advisories of Debian are not known to be what an image of Debian depends on")
		}
		if uses := find(t, m, theirs).Uses; uses != "" {
			t.Errorf("an image with packages of root.io depends on %q alone", uses)
		}
	}
}
