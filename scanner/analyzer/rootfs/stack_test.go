package rootfs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stack reads layers from lines: "name" is a file, "name/" a directory,
// "name -> target" a symbolic link, "name => target" a hard link, "name !dev" a
// device, "name !null" a device 0/0, "name !global" and "name !unknown" headers
// of these types. An empty line begins the next layer. A file's content is where
// it stands.
func stack(text string) [][]Entry {
	var layers [][]Entry
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		layer := []Entry{}
		for line := range strings.SplitSeq(part, "\n") {
			line = strings.TrimSpace(line)
			if line == "" {
				continue
			}
			e := Entry{Name: line, Kind: File, Mode: 0o644}
			for mark, kind := range map[string]Kind{" !dev": Device, " !null": NullDevice, " !global": Global, " !unknown": Unknown, "/": Directory} {
				if name, ok := strings.CutSuffix(line, mark); ok && e.Kind == File {
					e.Name, e.Kind = name, kind
				}
			}
			for mark, kind := range map[string]Kind{" -> ": Symlink, " => ": Hardlink} {
				if name, target, ok := strings.Cut(line, mark); ok {
					e.Name, e.Link, e.Kind = name, target, kind
				}
			}
			layer = append(layer, e)
		}
		layers = append(layers, layer)
	}
	return layers
}

// show lists the files of all views: "name=layer.entry", more contents behind
// commas.
func show(t *testing.T, layers [][]Entry) []string {
	t.Helper()
	views, err := Resolve(layers)
	if err != nil {
		return []string{err.Error()}
	}
	files := map[string]map[string]bool{}
	for _, v := range views {
		v.Walk("", func(p string, n Node) bool {
			if n.Kind == File {
				if files[p] == nil {
					files[p] = map[string]bool{}
				}
				files[p][fmt.Sprintf("%d.%d", n.Content.Layer, n.Content.Entry)] = true
			}
			return true
		})
	}
	var out []string
	for _, p := range slices.Sorted(maps.Keys(files)) {
		out = append(out, p+"="+strings.Join(slices.Sorted(maps.Keys(files[p])), ","))
	}
	return out
}

func TestResolve(t *testing.T) {
	for name, tt := range map[string]struct {
		stack string
		want  string
	}{
		"plain":                         {"a/\na/x\n\na/y", "a/x=0.1 a/y=1.0"},
		"replaced":                      {"a/x\n\na/x", "a/x=1.0"},
		"whiteout":                      {"a/x\na/y\n\na/.wh.x", "a/y=0.1"},
		"opaque":                        {"a/x\n\na/\na/.wh..wh..opq\na/y", "a/y=1.2"},
		"opaque_root_hides_nothing":     {"a/x\n\n.wh..wh..opq\nb", "a/x=0.0 b=1.1"},
		"opaque_root_by_another_name":   {"a/x\n\n./b/../.wh..wh..opq", "a/x=0.0"},
		"hardlink_then_target_removed":  {"opt/tool\napp => opt/tool\n\nopt/.wh.tool", "app=0.0"},
		"hardlink_keeps_old_content":    {"x\ny => x\nx", "x=0.2 y=0.0"},
		"hardlink_to_lower_layer":       {"x\n\ny => x", "x=0.0 y=0.0"},
		"hardlink_over_good_file":       {"good\nold\n\nold2 => old\ngood => old", "good=0.1 old=0.1 old2=0.1"},
		"hardlink_to_symlink":           {"x\nl -> x\nm => l", "x=0.0"},
		"dir_replaced_by_link":          {"d/x\n\nd -> e", ""},
		"file_replaced_by_link":         {"d/x\n\nd/x -> ../e", ""},
		"link_replaced_by_dir":          {"e/x\nd -> e\n\nd/\nd/y", "d/y=1.1 e/x=0.0"},
		"device_over_file":              {"x\n\nx !dev", ""},
		"null_device_removes_nothing":   {"x\n\nx !null", "x=0.0"},
		"null_device_of_an_overlay":     {"a\nx\n\nx !null\ny => x\n.wh..wh..opq", "a=0.0 y=0.1"},
		"null_device_is_linked":         {"m !null\ns => m\nm/\ns/\ns/x", "s/x=0.4"},
		"twice_in_a_layer":              {"x\nx", "x=0.1"},
		"through_link_of_lower_layer":   {"e/x\nd -> e\n\nd/y", "d/y=1.0 e/x=0.0 e/y=1.0"},
		"through_link_of_same_layer":    {"e/\nd -> e\nd/y", "e/y=0.2"},
		"through_absolute_link":         {"e/\nd -> /e\nd/y", "e/y=0.2"},
		"whiteout_of_a_link_only":       {"e/x\nd -> e\n\n.wh.d", "e/x=0.0"},
		"whiteout_through_link":         {"e/x\nd -> e\n\nd/.wh.x", "e/x=0.0"},
		"whiteout_then_dir":             {"d/x\n\n.wh.d\nd/\nd/y", "d/x=0.0 d/y=1.2"},
		"implied_dir_then_opaque":       {"d/z\n\nd/s/x\nd/.wh..wh..opq", "d/s/x=1.0"},
		"outside":                       {"../x", "x=0.0"},
		"global_header_removes_nothing": {"x\n\nx !global", "x=0.0"},
		"only_one_library_unpacks":      {"a/x\n\n.wh.a\na/.wh.x\ny", "y=1.2"},
		"whiteout_entry_is_a_directory": {"a/.wh.b/\na/x", "a/x=0.1"},
		"opaque_below_a_file":           {"d\n\nd/.wh..wh..opq", "d=0.0"},
		"link_to_itself_and_up":         {"usr -> usr/../lib\n\nusr/os-release", "lib/os-release=1.0 usr/os-release=1.0"},
		"replaces_the_link_it_uses":     {"s/status -> ../s\ns/status/status", "s/status=0.1 s/status/status=0.1"},
		"replaces_the_directory_of_it":  {"a/b -> ..\na/b/a", "a=0.1 a/b/a=0.1"},
		"dotdot_of_a_link":              {"p/q/\nx -> p/q\nl -> x/../r\nl/f", "p/r/f=0.3"},
		"dotdot_of_a_link_below":        {"p/q/\nx -> p/q\na/l -> ../x/../r\na/l/f", "p/r/f=0.3 r/f=0.3"},
		"dotdot_before_the_rest":        {"p/q/\nx -> p/q\nl -> x/../r\nl/n/f", "p/r/n/f=0.3 r/n/f=0.3"},
		"long_whiteout":                 {"a\n.wh." + strings.Repeat("n", 255), "a=0.0"},
		"aufs":                          {".wh..wh.plnk/1\nx => .wh..wh.plnk/1", ".wh..wh.plnk/1=0.0 x=0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(show(t, clean(stack(tt.stack))), " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func clean(layers [][]Entry) [][]Entry {
	for _, l := range layers {
		for i := range l {
			if strings.HasPrefix(l[i].Name, "../") {
				continue
			}
			l[i].Name = Clean(l[i].Name)
		}
	}
	return layers
}

func TestResolve_nobody_unpacks(t *testing.T) {
	for name, text := range map[string]string{
		"unknown_type":      "x !unknown",
		"link_to_nothing":   "y => x",
		"link_to_directory": "d/\ny => d",
		"below_a_file":      "x\nx/y",
		"loop":              "a -> b\nb -> a\na/x",
		"removes_its_own":   "d/\n.wh.d",
		"replaces_the_link": "e/\nl -> e\nl/d/\nl/",
	} {
		t.Run(name, func(t *testing.T) {
			if views, err := Resolve(stack(text)); err == nil {
				t.Errorf("got %d views, want an error", len(views))
			}
		})
	}
}

// TestResolve_steps: merging many directories of many layers ends.
func TestResolve_steps(t *testing.T) {
	var layer []Entry
	for i := range 4000 {
		layer = append(layer, Entry{Name: fmt.Sprint("d", i), Kind: Directory})
	}
	layers := make([][]Entry, 256)
	for i := range layers {
		layers[i] = layer
	}
	layers[1] = append([]Entry{{Name: "y", Kind: Global}}, layer...) // so that the overlays are played
	if _, err := Resolve(layers); err == nil || !strings.Contains(err.Error(), errSteps.Error()) {
		t.Errorf("got %v, want %v", err, errSteps)
	}
}

// TestResolve_one_view_is_enough: where the first runtime meets nothing odd, all
// show the same.
func TestResolve_one_view_is_enough(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	plain := 0
	for range 60_000 {
		layers := draw(r)
		first, odd, err := runtimes[0].unpack(layers)
		if err != nil || odd {
			continue
		}
		plain++
		for _, rt := range runtimes[1:] {
			other, _, err := rt.unpack(layers)
			if err != nil {
				t.Fatalf("%+v: %v\n%s", rt, err, cmp.Diff("", fmt.Sprintf("%+v", layers)))
			}
			if !equal(first, other) {
				t.Fatalf("%+v shows something else than the first runtime:\n%+v", rt, layers)
			}
		}
	}
	t.Logf("%d stacks without oddities", plain)
	if plain < 5_000 {
		t.Errorf("only %d stacks without oddities: they prove nothing", plain)
	}
}

func draw(r *rand.Rand) [][]Entry {
	names := []string{"a", "b", "c", "d"}
	name := func() string {
		p := names[r.IntN(len(names))]
		for r.IntN(2) == 0 {
			p += "/" + names[r.IntN(len(names))]
		}
		return p
	}
	layers := make([][]Entry, 1+r.IntN(3))
	for i := range layers {
		for range 1 + r.IntN(5) {
			e := Entry{Name: name(), Kind: File, Mode: 0o644}
			switch r.IntN(9) {
			case 0, 1:
				e.Kind = Directory
			case 2:
				e.Kind, e.Link = Symlink, name()
			case 3:
				e.Kind, e.Link = Hardlink, name()
			case 4:
				e.Kind = Device
			case 5:
				dir, base := "", e.Name
				if j := strings.LastIndex(e.Name, "/"); j >= 0 {
					dir, base = e.Name[:j+1], e.Name[j+1:]
				}
				e.Name = dir + whiteoutPrefix + base
				if r.IntN(3) == 0 {
					e.Name = dir + opaqueMarker
				}
			}
			layers[i] = append(layers[i], e)
		}
	}
	return layers
}

// TestLookup: a path is opened as a process opens it.
func TestLookup(t *testing.T) {
	views, err := Resolve(stack("a/x\nup -> a/../a/x\nabs -> /a\nmissing -> nowhere/../a\nbelow -> a/x/../x\nl1 -> l2\nl2 -> l1\nout -> ../../a/x"))
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]string{
		"a/x": "a/x", "up": "a/x", "abs/x": "a/x", "missing/x": "", "below": "", "l1": "", "out": "a/x", "a/x/y": "", "nothing": "", "a": "a",
	} {
		if got, _, ok := views[0].Lookup(p); got != want || ok != (want != "") {
			t.Errorf("Lookup(%q): got %q, %v, want %q", p, got, ok, want)
		}
	}
}
