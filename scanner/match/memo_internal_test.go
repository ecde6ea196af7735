package match

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"testing"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/types"

	"github.com/digestgate/digestgate/gate"
)

// TestIdentity_everyField: each field of a package that a detector is given makes it
// another one, and so do fields that are only longer or shorter than each other.
func TestIdentity_everyField(t *testing.T) {
	full := func() gate.Package {
		return gate.Package{
			Licenses: []string{"MIT"}, BuildInfo: &gate.BuildInfo{ContentSets: []string{"a"}}, Repository: &gate.PackageOrigin{},
		}
	}
	unseen := map[string]bool{"FilePath": true, "Layer": true, "UID": true}
	seen := map[[sha256.Size]byte]string{}
	check := func(name string, p gate.Package) {
		id := identities([]gate.Package{p})[0]
		if other, ok := seen[id]; ok {
			t.Errorf("packages that differ by %s and by %s are the same", name, other)
		}
		seen[id] = name
	}
	check("nothing", full())
	var change func(path string, field func(p *gate.Package) reflect.Value)
	change = func(path string, field func(p *gate.Package) reflect.Value) {
		sample := full()
		v := field(&sample)
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				change(path+"."+v.Type().Field(i).Name, func(p *gate.Package) reflect.Value { return field(p).Field(i) })
			}
		case reflect.Pointer:
			change(path, func(p *gate.Package) reflect.Value { return field(p).Elem() })
			v.SetZero()
			check(path+" missing", sample)
		case reflect.String:
			v.SetString("x")
			check(path, sample)
		case reflect.Int:
			v.SetInt(7)
			check(path, sample)
		case reflect.Bool:
			v.SetBool(true)
			check(path, sample)
		case reflect.Slice:
			v.Set(reflect.ValueOf([]string{"x", "y"}))
			check(path, sample)
			v.Set(reflect.ValueOf([]string{"xy"}))
			check(path+" in one", sample)
			v.SetZero()
			check(path+" without", sample)
		default:
			t.Fatalf("%s is a %s: say in appendIdentity what it means, and here", path, v.Kind())
		}
	}
	of := reflect.TypeFor[gate.Package]()
	for i := range of.NumField() {
		name := of.Field(i).Name
		if unseen[name] {
			p := full()
			reflect.ValueOf(&p).Elem().Field(i).SetString("x")
			if identities([]gate.Package{p})[0] != identities([]gate.Package{full()})[0] {
				t.Errorf("%s makes another package", name)
			}
			continue
		}
		change(name, func(p *gate.Package) reflect.Value { return reflect.ValueOf(p).Elem().Field(i) })
	}
	for _, pair := range [][2]gate.Package{
		{{ID: "ab"}, {ID: "a", Name: "b"}}, {{Name: "n", Version: ""}, {Name: "", Version: "n"}}, {{Epoch: 1}, {SrcEpoch: 1}}, {{Epoch: -1}, {Epoch: 1}},
	} {
		if ids := identities(pair[:]); ids[0] == ids[1] {
			t.Errorf("%+v and %+v are the same", pair[0], pair[1])
		}
	}
	if subject("a", "b") == subject("ab") || subject("a", "") == subject("", "a") {
		t.Error("other words make the same subject")
	}
}

// TestAsk_failuresAreNotRemembered: what a detector says when it fails, panics or is
// told to end is not remembered, nor what was found beside it; the next one asks again.
func TestAsk_failuresAreNotRemembered(t *testing.T) {
	pkgs := []gate.Package{{Name: "a", Version: "1"}, {Name: "b", Version: "1"}, {Name: "c", Version: "1"}}
	ctx, cancel := context.WithCancel(t.Context())
	for name, bad := range map[string]func(p ftypes.Package) ([]types.DetectedVulnerability, error){
		"error": func(ftypes.Package) ([]types.DetectedVulnerability, error) { return nil, errors.New("boom") },
		"panic": func(ftypes.Package) ([]types.DetectedVulnerability, error) { panic("boom") },
		"fault": func(ftypes.Package) ([]types.DetectedVulnerability, error) { panic(fault{}) },
		"cancel": func(p ftypes.Package) ([]types.DetectedVulnerability, error) {
			cancel()
			return nil, nil // as one that gives up without saying so
		},
	} {
		t.Run(name, func(t *testing.T) {
			gen := &generation{db: &database{details: newDetails()}, memo: new(memo)}
			q := &question{pkgs: pkgs, identities: identities(pkgs), kind: "debian", scan: func(p ftypes.Package) ([]types.DetectedVulnerability, error) {
				if p.Name == "b" {
					return bad(p)
				}
				return nil, nil
			}}
			r := &run{gen: gen, inv: &gate.Inventory{}}
			err := r.ask(ctx, q, 0, len(pkgs))
			if (name == "fault") != errors.Is(err, gate.ErrAdvisoriesUnavailable) || name != "cancel" && len(r.found) > 0 {
				t.Errorf("got %v, %d findings", err, len(r.found))
			}
			for i := range pkgs {
				if k := q.key(i); gen.memo.get(&k) != nil {
					t.Errorf("package %s is remembered", pkgs[i].Name)
				}
			}
			asked := 0
			q.scan = func(p ftypes.Package) ([]types.DetectedVulnerability, error) { asked++; return nil, nil }
			for range 2 {
				if err := (&run{gen: gen, inv: r.inv}).ask(t.Context(), q, 0, len(pkgs)); err != nil {
					t.Fatal(err)
				}
			}
			if asked != len(pkgs) {
				t.Errorf("afterwards the detector was asked %d times about %d packages", asked, len(pkgs))
			}
		})
	}
}

type fault struct{}

func (fault) Addr() uintptr { return 1 }

// TestMemo_bounded: however much there is to remember, it takes no more than it may.
func TestMemo_bounded(t *testing.T) {
	m := new(memo)
	long := string(make([]byte, 20_000))
	for i := range 20_000 {
		k := memoKey{identity: sha256.Sum256([]byte(fmt.Sprint(i)))}
		m.keep(&k, &known{gap: gapNote{reason: long}})
	}
	bytes := 0
	for i := range m.parts {
		sum := 0
		for _, a := range m.parts[i].known {
			sum += a.weight()
		}
		if sum != m.parts[i].bytes {
			t.Errorf("part %d: %d bytes are counted of %d", i, m.parts[i].bytes, sum)
		}
		bytes += sum
	}
	if bytes > maxMemoBytes || bytes < maxMemoBytes/8 {
		t.Errorf("%d bytes are remembered, at most %d may be", bytes, maxMemoBytes)
	}
}

// TestMemo_lists: what is remembered of whole lists is bounded, and forgotten with any part
// of the answers, which it would keep in memory.
func TestMemo_lists(t *testing.T) {
	m := new(memo)
	list := make([]listed, 100)
	for i := range maxListed / 50 {
		k := memoKey{identity: sha256.Sum256([]byte(fmt.Sprint(i)))}
		m.keepList(&k, list)
		if got, ok := m.list(&k); !ok || len(got) != len(list) {
			t.Fatalf("list %d is not remembered", i)
		}
	}
	if n := len(m.lists.known) * len(list); n > maxListed || n == 0 {
		t.Errorf("%d answers are remembered in lists, at most %d may be", n, maxListed)
	}
	long := string(make([]byte, maxMemoBytes/memoParts-1000))
	for i := range 2 {
		k := memoKey{subject: sha256.Sum256([]byte(fmt.Sprint(i)))} // of one part
		m.keep(&k, &known{gap: gapNote{reason: long}})
	}
	if len(m.lists.known) > 0 {
		t.Errorf("%d lists outlive the answers in them", len(m.lists.known))
	}
}
