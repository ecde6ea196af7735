package analyzer_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// fakePrefix starts the names under which the test binary is linked to play a
// child; what follows is the script.
const fakePrefix = "fake-"

func TestMain(m *testing.M) {
	if script, ok := strings.CutPrefix(filepath.Base(os.Args[0]), fakePrefix); ok {
		os.Exit(playChild(script))
	}
	if filepath.Base(os.Args[0]) == serverName {
		os.Exit(playServer())
	}
	goleak.VerifyTestMain(m)
}

// fakeChild links the test binary so that it plays a script when started.
func fakeChild(t testing.TB, script string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Not below the test's own directory: another user must get at it.
	dir, err := os.MkdirTemp("", "fakechild-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	link := filepath.Join(dir, fakePrefix+script)
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	return link
}

// fakeParent asks over the one connection, as the real child does.
type fakeParent struct{ *protocol.Client }

func (p *fakeParent) get(path string) ([]byte, int) {
	res, err := p.Ask(http.MethodGet, path, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return nil, 0
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // as the real child: a broken stream is no layer
	}
	return b, res.StatusCode
}

// beginning reads the first bytes of the layer; closing what it returns reads
// the rest.
func (p *fakeParent) beginning() io.Closer {
	res, err := p.Ask(http.MethodGet, protocol.PathLayer+"0", nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = io.ReadFull(res.Body, make([]byte, 10))
	return res.Body
}

func (p *fakeParent) post(body io.Reader) { p.postTo(protocol.PathResult, body) }

func (p *fakeParent) postTo(path string, body io.Reader) {
	res, err := p.Ask(http.MethodPost, path, body)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	res.Body.Close()
}

// answer hands over what was found in a layer, and answers.
func (p *fakeParent) answer(r protocol.Result) {
	for i, l := range r.Layers {
		b, _ := json.Marshal(l)
		p.postTo(fmt.Sprint(protocol.PathFound, i), bytes.NewReader(b))
		r.Layers[i] = protocol.Layer{DiffID: l.DiffID, Size: l.Size}
	}
	b, _ := json.Marshal(r)
	p.post(bytes.NewReader(b))
}

func playChild(script string) int {
	conn, err := net.FileConn(os.NewFile(protocol.Socket, "parent"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	p := &fakeParent{protocol.NewClient(conn)}
	raw, _ := p.get(protocol.PathUnit)
	var u protocol.Unit
	if err := json.Unmarshal(raw, &u); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	r := protocol.Result{Version: protocol.Version, Set: "fake"}
	if u.Kind == protocol.KindProbe && !strings.HasPrefix(script, "probe") {
		p.answer(r)
		return 0
	}
	if u.Kind == protocol.KindMerge && !strings.HasPrefix(script, "merge") {
		script = "good"
	}
	return scripts[script](p, u, r)
}

// scripts are what a child may do, honest or not.
var scripts = map[string]func(p *fakeParent, u protocol.Unit, r protocol.Result) int{
	"good": func(p *fakeParent, u protocol.Unit, r protocol.Result) int {
		if u.Kind == protocol.KindLayer {
			honestLayers(p, u, &r)
			b, _ := json.Marshal(r)
			p.post(bytes.NewReader(b))
			return 0
		}
		r.Inventory = honestInventory(p, u)
		p.answer(r)
		return 0
	},
	"crash": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		fmt.Fprintln(os.Stderr, "some notice\npanic: runtime error: \x1b[31mindex out of range\n\ngoroutine 1 [running]:")
		return 2
	},
	"crashearly": func(*fakeParent, protocol.Unit, protocol.Result) int { return 2 },
	"silent":     func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int { p.get(protocol.PathLayer + "0"); return 0 },
	"segv": func(*fakeParent, protocol.Unit, protocol.Result) int {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		time.Sleep(time.Minute)
		return 0
	},
	"hang": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		time.Sleep(time.Hour)
		return 0
	},
	"garbage": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		p.post(strings.NewReader("<html>"))
		return 0
	},
	"oversize": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		p.post(io.LimitReader(zeros{}, protocol.MaxResultBytes+2))
		return 0
	},
	"unread": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		r.Layers = []protocol.Layer{{DiffID: digestOf(nil), Parts: []protocol.Part{{Found: json.RawMessage("{}")}}}}
		p.answer(r)
		return 0
	},
	"wrongdiff": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		r.Layers = honestLayer(p)
		r.Layers[0].DiffID = digestOf([]byte("other"))
		p.answer(r)
		return 0
	},
	"nothing": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		p.answer(r)
		return 0
	},
	"version": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		r.Version++
		p.answer(r)
		return 0
	},
	"otherset": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		r.Set, r.Layers = "replaced", honestLayer(p)
		p.answer(r)
		return 0
	},
	"twice": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		r.Layers = honestLayer(p)
		if b, status := p.get(protocol.PathLayer + "0"); status != 0 && len(b) > 100 {
			fmt.Fprintln(os.Stderr, "got a second layer")
		}
		p.answer(r)
		return 0
	},
	"results": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		r.Layers = honestLayer(p)
		p.get(protocol.PathResults + "0")
		p.answer(r)
		return 0
	},
	"config": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		r.Layers = honestLayer(p)
		p.get(protocol.PathConfig)
		p.answer(r)
		return 0
	},
	"memory": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		var all [][]byte
		for range 700 {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
		}
		time.Sleep(time.Hour)
		return len(all)
	},
	"temp": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		b := bytes.Repeat([]byte("x"), 1<<20)
		for i := 0; ; i++ {
			_ = os.WriteFile(filepath.Join(os.Getenv("TMPDIR"), fmt.Sprint("f", i%200)), b, 0o600)
			if i > 200 {
				time.Sleep(time.Hour)
			}
		}
	},
	"flood": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		for range 2000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("noise ", 100))
		}
		r.Layers = honestLayer(p)
		p.answer(r)
		return 0
	},
	"toolarge": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		r.Failure = &protocol.Failure{Class: protocol.FailureTooLarge, Message: "the layer unpacks to more than 1KiB"}
		p.answer(r)
		return 0
	},
	"leaves": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int {
		p.beginning()
		fmt.Fprintln(os.Stderr, "panic: what a beginning")
		return 2
	},
	"leavestoolarge": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		p.beginning().Close()
		r.Failure = &protocol.Failure{Class: protocol.FailureTooLarge, Message: "the layer unpacks to more than 1KiB"}
		p.answer(r)
		return 0
	},
	"diskfull": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		r.Failure = &protocol.Failure{Class: protocol.FailureDiskFull, Message: "no space left on device"}
		p.answer(r)
		return 0
	},
	"mergeforeign": func(p *fakeParent, u protocol.Unit, r protocol.Result) int {
		if u.Kind == protocol.KindLayer {
			r.Layers = honestLayer(p)
		} else {
			r.Inventory = honestInventory(p, u)
			r.Inventory.Packages = []gate.Package{{Name: "x", Layer: digestOf([]byte("foreign"))}}
		}
		p.answer(r)
		return 0
	},
	"mergelarge": func(p *fakeParent, u protocol.Unit, r protocol.Result) int {
		if u.Kind == protocol.KindLayer {
			r.Layers = honestLayer(p)
		} else {
			r.Inventory = honestInventory(p, u)
			for i := 0; i < protocol.MaxAnswerBytes/240; i++ {
				name := fmt.Sprintf("package-%06d-%s", i, strings.Repeat("x", 40))
				r.Inventory.Packages = append(r.Inventory.Packages, gate.Package{Name: name, Version: "1.2.3", SrcName: name, PURL: "pkg:deb/debian/" + name})
			}
		}
		p.answer(r)
		return 0
	},
	"mergelies": func(p *fakeParent, u protocol.Unit, r protocol.Result) int {
		if u.Kind == protocol.KindLayer {
			r.Layers = honestLayer(p)
		} else {
			r.Inventory = honestInventory(p, u)
			r.Inventory.Digest, r.Inventory.AnalyzerSet = digestOf([]byte("other")), "another"
			r.Inventory.Size, r.Inventory.AnalyzedAt = 1, time.Unix(1, 0)
			r.Inventory.Isolation = gate.Isolation{Level: "perfect"}
			r.Inventory.Risks = map[gate.Risk]gate.RiskStatus{gate.RiskMalware: {Coverage: gate.Complete}}
		}
		p.answer(r)
		return 0
	},
	"mergeformat": func(p *fakeParent, u protocol.Unit, r protocol.Result) int {
		if u.Kind == protocol.KindLayer {
			r.Layers = honestLayer(p)
		} else {
			r.Inventory = &gate.Inventory{Format: gate.InventoryFormat + 1}
		}
		p.answer(r)
		return 0
	},
	"mergelayer": func(p *fakeParent, u protocol.Unit, r protocol.Result) int {
		if u.Kind == protocol.KindLayer {
			r.Layers = honestLayer(p)
		} else {
			p.get(protocol.PathLayer + "0")
		}
		p.answer(r)
		return 0
	},
	"groupliar": func(p *fakeParent, u protocol.Unit, r protocol.Result) int {
		if len(u.Reads) > 1 {
			for i := range u.Reads {
				p.get(fmt.Sprint(protocol.PathLayer, i))
				lie := protocol.Layer{DiffID: digestOf([]byte("lie")), Size: 1, Parts: []protocol.Part{{Found: json.RawMessage("{}")}}}
				found, _ := json.Marshal(lie)
				p.postTo(fmt.Sprint(protocol.PathFound, i), bytes.NewReader(found))
				r.Layers = append(r.Layers, protocol.Layer{DiffID: lie.DiffID, Size: lie.Size})
			}
		} else {
			honestLayers(p, u, &r)
		}
		b, _ := json.Marshal(r)
		p.post(bytes.NewReader(b))
		return 0
	},
	"groupskips": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int { p.get(protocol.PathLayer + "1"); return 0 },
	"groupfinds": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		p.postTo(protocol.PathFound+"1", strings.NewReader("{}"))
		return 0
	},
	"groupbehind": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int {
		for i := range 3 {
			p.get(fmt.Sprint(protocol.PathLayer, i))
			p.postTo(fmt.Sprint(protocol.PathFound, i), strings.NewReader("{}"))
		}
		return 0
	},
	"groupcrash": func(p *fakeParent, _ protocol.Unit, _ protocol.Result) int {
		p.get(protocol.PathLayer + "0")
		p.postTo(protocol.PathFound+"0", strings.NewReader("{}"))
		p.get(protocol.PathLayer + "1")
		fmt.Fprintln(os.Stderr, "panic: the second")
		return 2
	},
	"proberesult": func(p *fakeParent, _ protocol.Unit, r protocol.Result) int {
		r.Missing, r.Reached = []string{"seccomp filter"}, []string{"open an internet socket", "read /run/secrets/harbor"}
		p.answer(r)
		return 0
	},
	"probecrash": func(*fakeParent, protocol.Unit, protocol.Result) int {
		fmt.Fprintln(os.Stderr, "fatal error: this kernel is too old")
		return 2
	},
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// honestLayer reads the only layer as the real child does, and finds nothing in it.
func honestLayer(p *fakeParent) []protocol.Layer {
	b, _ := p.get(protocol.PathLayer + "0")
	return []protocol.Layer{emptyLayer(b)}
}

// emptyLayer is what an honest child says of a layer in which it finds nothing.
func emptyLayer(packed []byte) protocol.Layer {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	raw, _ := io.ReadAll(z)
	return protocol.Layer{DiffID: digestOf(raw), Size: int64(len(raw)), Parts: []protocol.Part{{Found: json.RawMessage("{}")}}}
}

// honestLayers hands over what is in each of the layers before it reads the next.
func honestLayers(p *fakeParent, u protocol.Unit, r *protocol.Result) {
	for i := range u.Reads {
		b, _ := p.get(fmt.Sprint(protocol.PathLayer, i))
		l := emptyLayer(b)
		found, _ := json.Marshal(l)
		p.postTo(fmt.Sprint(protocol.PathFound, i), bytes.NewReader(found))
		r.Layers = append(r.Layers, protocol.Layer{DiffID: l.DiffID, Size: l.Size})
	}
}

func honestInventory(p *fakeParent, u protocol.Unit) *gate.Inventory {
	inv := &gate.Inventory{Format: gate.InventoryFormat, Platform: gate.Platform{OS: "linux", Architecture: "amd64"}}
	p.get(protocol.PathConfig)
	for i := range u.Layers {
		if b, status := p.get(fmt.Sprint(protocol.PathResults, i)); status != 200 || len(b) == 0 {
			fmt.Fprintln(os.Stderr, "a layer result is missing")
			os.Exit(1)
		}
	}
	return inv
}
