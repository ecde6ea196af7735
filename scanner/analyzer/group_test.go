package analyzer

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/registry"
)

func digestNamed(n byte) gate.Digest {
	return gate.Digest("sha256:" + strings.Repeat(fmt.Sprintf("%02x", n), 32))
}

// TestGroups: layers below 1 MiB that follow each other are one group, each of its
// layers is pulled once, and every other layer is alone.
func TestGroups(t *testing.T) {
	const large = smallLayer
	for name, tt := range map[string]struct {
		sizes []int64
		want  string
	}{
		"none":           {nil, ""},
		"one_small":      {[]int64{1}, "[0]"},
		"all_small":      {[]int64{1, 2, smallLayer - 1}, "[0 1 2]"},
		"all_large":      {[]int64{large, large + 1}, "[0][1]"},
		"large_between":  {[]int64{1, 2, large, 3, 4}, "[0 1][2][3 4]"},
		"small_between":  {[]int64{large, 1, large}, "[0][1][2]"},
		"declared_empty": {[]int64{0, 0}, "[0 1]"},
	} {
		t.Run(name, func(t *testing.T) {
			var layers []registry.Layer
			for i, s := range tt.sizes {
				layers = append(layers, registry.Layer{Digest: digestNamed(byte(i)), Size: s})
			}
			got := ""
			for _, g := range groups(layers) {
				var members []int
				for _, l := range g.layers {
					members = append(members, slices.IndexFunc(layers, func(x registry.Layer) bool { return x.Digest == l.Digest }))
				}
				got += fmt.Sprint(members)
			}
			if got != tt.want {
				t.Errorf("groups of %v: got %s, want %s", tt.sizes, got, tt.want)
			}
		})
	}
	twice := []registry.Layer{{Digest: digestNamed(1), Size: 1}, {Digest: digestNamed(2), Size: 1}, {Digest: digestNamed(1), Size: 1}}
	if g := groups(twice); len(g) != 1 || len(g[0].layers) != 2 || g[0].end != 3 {
		t.Errorf("a layer that occurs twice in a group: got %+v, want one group that reads it once", g)
	}
}

// TestCacheNamesAreOfAllThatWasSeen: two readings have one name only if the child saw
// the same layers in the same order and was asked for the same names of each. All
// readings of up to three of three layers, with up to one of four wishes for each, are
// tried.
func TestCacheNamesAreOfAllThatWasSeen(t *testing.T) {
	wishes := [][]protocol.Wanted{{{Entry: 0, Name: []byte("a")}}, {{Entry: 1, Name: []byte("a")}}, {{Entry: 0, Name: []byte("b")}}, nil}
	seen := map[string]string{}
	try := func(layers []gate.Digest, wanted [][]protocol.Wanted) {
		reading := fmt.Sprint(layers, wanted != nil, wanted)
		name := cacheName("set", layers, wanted)
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s have one name", other, reading)
		}
		if name == cacheName("other set", layers, wanted) {
			t.Errorf("%s has the same name for two sets", reading)
		}
		seen[name] = reading
	}
	var each func(layers []gate.Digest, wanted [][]protocol.Wanted)
	each = func(layers []gate.Digest, wanted [][]protocol.Wanted) {
		if len(layers) > 0 {
			if !slices.ContainsFunc(wanted, func(w []protocol.Wanted) bool { return w != nil }) {
				try(layers, nil)
			} else if !slices.ContainsFunc(wanted, func(w []protocol.Wanted) bool { return w == nil }) {
				try(layers, wanted)
			}
		}
		if len(layers) == 3 {
			return
		}
		for n := range byte(3) {
			for _, w := range wishes {
				each(append(slices.Clone(layers), digestNamed(n)), append(slices.Clone(wanted), w))
			}
		}
	}
	each(nil, nil)
	if want := (3 + 9 + 27) + (3*3 + 9*9 + 27*27); len(seen) != want {
		t.Errorf("%d readings have a name of their own, want %d", len(seen), want)
	}
}

// TestGroupIsWhole: what is kept of a group answers for that group only, all of it, in
// the order of its layers; a file in which anything is wrong is not there.
func TestGroupIsWhole(t *testing.T) {
	dir := t.TempDir()
	c, err := openCache(filepath.Join(dir, "layers"), 1<<30, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a, b, d := digestNamed(1), digestNamed(2), digestNamed(3)
	layers := []gate.Digest{a, b, d}
	var results []*result
	for i, l := range layers {
		w, err := newResultWriter(dir)
		if err != nil {
			t.Fatal(err)
		}
		if local, err := w.take(strings.NewReader(fmt.Sprintf("result %d", i))); local != nil || err != nil {
			t.Fatal(local, err)
		}
		r, err := w.finish(l, int64(i))
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	c.put("set", layers, nil, results)
	got, ok := c.get("set", layers, nil, dir)
	if !ok || len(got) != 3 {
		t.Fatalf("the group is not there: %v", got)
	}
	for i, r := range got {
		var text strings.Builder
		if err := r.copyTo(&text); err != nil || text.String() != fmt.Sprintf("result %d", i) || r.diffID != layers[i] || r.size != int64(i) {
			t.Errorf("result %d: got %q of %s, %v", i, text.String(), r.diffID, err)
		}
	}
	for _, other := range [][]gate.Digest{{a}, {b}, {d}, {a, b}, {b, d}, {a, d}, {b, a, d}, {a, b, d, a}} {
		if _, ok := c.get("set", other, nil, dir); ok {
			t.Errorf("what is known of %v answers for %v", layers, other)
		}
	}
	if _, ok := c.get("set", layers, [][]protocol.Wanted{{}, {}, {{Name: []byte("x")}}}, dir); ok {
		t.Error("what is known of all names answers for other names")
	}
	file := filepath.Join(c.dir, cacheName("set", layers, nil))
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	shorter, err := packResults(results[:2], layers[:2])
	if err != nil {
		t.Fatal(err)
	}
	fewer, err := os.ReadFile(shorter)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{"cut": whole[:len(whole)/2], "without the last": fewer, "empty": nil, "with more": append(slices.Clone(whole[:len(whole)-1024]), fewer...)}
	for i := 0; i < len(whole); i += 97 {
		flipped := slices.Clone(whole)
		flipped[i] ^= 0x55
		damaged[fmt.Sprintf("with byte %d changed", i)] = flipped
	}
	for what, content := range damaged {
		c.put("set", layers, nil, results)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, ok := c.get("set", layers, nil, dir)
		if !ok {
			continue
		}
		for i, r := range got { // a changed byte of padding harms nothing
			if diff := cmp.Diff([]any{results[i].diffID, results[i].size, results[i].length}, []any{r.diffID, r.size, r.length}); diff != "" {
				t.Errorf("a file %s is taken:\n%s", what, diff)
			}
		}
	}
}
