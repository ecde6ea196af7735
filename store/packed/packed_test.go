package packed_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/packed"
	"github.com/digestgate/digestgate/store/storetest/stock"
)

// fill gives a value random contents, every field of every type: one that is added to
// gate and forgotten here is lost and seen.
func fill(r *rand.Rand, v reflect.Value, full bool) {
	some := func() bool { return full || r.IntN(3) > 0 }
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		if some() {
			t := time.Unix(r.Int64N(4e9), r.Int64N(1e9)*r.Int64N(2)).UTC()
			if r.IntN(4) == 0 {
				t = t.In(time.FixedZone("", (r.IntN(1600)-800)*60))
			}
			v.Set(reflect.ValueOf(t))
		}
		return
	case reflect.TypeFor[gate.InventorySummary](), reflect.TypeFor[*gate.FindingsHashes]():
		return // not stored
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i), full)
		}
	case reflect.Pointer:
		if some() {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), full)
		}
	case reflect.Slice:
		if !some() {
			if r.IntN(2) == 0 {
				v.Set(reflect.MakeSlice(v.Type(), 0, 0))
			}
			return
		}
		n := 1 + r.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), full)
		}
	case reflect.Map:
		if !some() {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range r.IntN(4) + 1 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(r, key, true)
			fill(r, value, full)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		if some() {
			words := []string{"a", "libssl3", "é\u2028<&>", "1.2.3-4+deb12u1", "bad\xff\xfe\xc3", string(make([]byte, r.IntN(200))), string(rune('a' + r.IntN(26)))}
			v.SetString(words[r.IntN(len(words))])
		}
	case reflect.Bool:
		v.SetBool(full || r.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		if some() {
			v.SetInt(r.Int64() - r.Int64())
		}
	case reflect.Float64:
		v.SetFloat([]float64{-1, 0, 9.8, 5.55, 1e300, math.Copysign(0, -1)}[r.IntN(6)])
	default:
		panic("no contents for " + v.Type().String())
	}
}

// round is what comes back; it compares with what JSON brings back.
func round[T any](t *testing.T, v *T, pack func([]byte, *T) ([]byte, error), unpack func([]byte) (*T, error)) {
	t.Helper()
	data, err := pack([]byte("before"), v)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pack(nil, v)
	if err != nil || !bytes.Equal(again, data[len("before"):]) {
		t.Fatalf("the same value is not written alike: %v", err)
	}
	got, err := unpack(again)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	want := new(T)
	if err := json.Unmarshal(text, want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("other than JSON (-JSON +packed):\n%s", diff)
	}
	// Times are shown with their place.
	shown, err := json.Marshal(got)
	if err != nil || !bytes.Equal(shown, text) && utf8Only(text) {
		t.Fatalf("shown otherwise: %v\n%s\n%s", err, shown, text)
	}
	data, err = pack(nil, got)
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := unpack(data); err != nil || !reflect.DeepEqual(got, twice) {
		t.Fatalf("what came back does not come back again: %v", err)
	}
}

// utf8Only reports whether JSON had no byte to replace, which sorts keys otherwise.
func utf8Only(text []byte) bool { return !bytes.Contains(text, []byte(`\ufffd`)) }

// TestWhatJSONKeeps: the form keeps of random values what JSON keeps, and the times and
// nil lists too.
func TestWhatJSONKeeps(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var inv gate.Inventory
		fill(r, reflect.ValueOf(&inv).Elem(), seed%4 == 0)
		round(t, &inv, packed.AppendInventory, packed.Inventory)
		var f gate.Findings
		fill(r, reflect.ValueOf(&f).Elem(), seed%4 == 0)
		round(t, &f, packed.AppendFindings, packed.Findings)
	}
	round(t, new(gate.Inventory), packed.AppendInventory, packed.Inventory)
	round(t, new(gate.Findings), packed.AppendFindings, packed.Findings)
}

// TestNoForm: what JSON refuses is refused.
func TestNoForm(t *testing.T) {
	for name, f := range map[string]gate.Findings{
		"no_number":   {Vulnerabilities: []gate.Vulnerability{{CVSS: math.NaN()}}},
		"year_10000":  {MatchedAt: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"year_before": {Vulnerabilities: []gate.Vulnerability{{FirstSeen: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}}},
	} {
		if _, err := json.Marshal(f); err == nil {
			t.Fatalf("%s: JSON takes it", name)
		}
		if _, err := packed.AppendFindings(nil, &f); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if _, err := packed.AppendFindings(nil, &gate.Findings{}); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

// TestDamage: bytes that are cut off, longer, of something else or of a later version are
// refused, and no change of a byte makes the reader fail.
func TestDamage(t *testing.T) {
	var inv gate.Inventory
	fill(rand.New(rand.NewPCG(7, 7)), reflect.ValueOf(&inv).Elem(), true)
	data, err := packed.AppendInventory(nil, &inv)
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if _, err := packed.Inventory(data[:n]); !errors.Is(err, packed.ErrDamaged) {
			t.Fatalf("%d of %d bytes: got %v", n, len(data), err)
		}
	}
	if _, err := packed.Inventory(append(bytes.Clone(data), 0)); !errors.Is(err, packed.ErrDamaged) {
		t.Errorf("a byte more: got %v", err)
	}
	if _, err := packed.Findings(data); !errors.Is(err, packed.ErrDamaged) {
		t.Errorf("an inventory for findings: got %v", err)
	}
	later := bytes.Clone(data)
	later[0]++
	if _, err := packed.Inventory(later); !errors.Is(err, packed.ErrNewer) {
		t.Errorf("a later form: got %v", err)
	}
	r := rand.New(rand.NewPCG(8, 8))
	for range 5_000 {
		changed := bytes.Clone(data)
		for range 1 + r.IntN(3) {
			changed[r.IntN(len(changed))] = byte(r.Uint32())
		}
		_, _ = packed.Inventory(changed)
	}
}

// TestTextsAreApart: what keeps one text keeps little besides.
func TestTextsAreApart(t *testing.T) {
	f := &gate.Findings{}
	for i := range 2_000 {
		f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{ID: time.Unix(int64(i), 0).String(), Title: string(bytes.Repeat([]byte{'a' + byte(i%26)}, 200+i%3))})
	}
	data, err := packed.AppendFindings(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := packed.Findings(data)
	if err != nil {
		t.Fatal(err)
	}
	if blocks := packed.Blocks(got); blocks < 100 {
		t.Errorf("%d bytes of texts are in %d pieces of memory", len(data), blocks)
	}
}

// FuzzFindings and FuzzInventory: whatever is read comes back as it was read.
func FuzzFindings(f *testing.F) { fuzz(f, packed.AppendFindings, packed.Findings) }

func FuzzInventory(f *testing.F) { fuzz(f, packed.AppendInventory, packed.Inventory) }

func fuzz[T any](f *testing.F, pack func([]byte, *T) ([]byte, error), unpack func([]byte) (*T, error)) {
	for seed := range uint64(8) {
		v := new(T)
		fill(rand.New(rand.NewPCG(seed, 2)), reflect.ValueOf(v).Elem(), seed%2 == 0)
		data, err := pack(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		v, err := unpack(data)
		if err != nil {
			if !errors.Is(err, packed.ErrDamaged) && !errors.Is(err, packed.ErrNewer) {
				t.Fatal(err)
			}
			return
		}
		again, err := pack(nil, v)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if back, err := unpack(again); err != nil || !reflect.DeepEqual(v, back) {
			t.Fatalf("what was read does not come back: %v", err)
		}
	})
}

// BenchmarkPacked compares the form with JSON, with the values of a realistic image.
func BenchmarkPacked(b *testing.B) {
	s := stock.New(stock.Options{Images: 10})
	inv := s.Inventory(1)
	f := &gate.Findings{}
	for i := range inv.Packages {
		f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{ID: "CVE-2024-1", Package: inv.Packages[i].Name, InstalledVersion: inv.Packages[i].Version, Severity: gate.SeverityLow})
	}
	text, err := json.Marshal(inv)
	if err != nil {
		b.Fatal(err)
	}
	data, err := packed.AppendInventory(nil, inv)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("read_json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if err := json.Unmarshal(text, new(gate.Inventory)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := packed.Inventory(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(inv); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if data, err = packed.AppendInventory(data[:0], inv); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestFormerForm: what a version before Java archives and sources, or before documents
// beside images, has stored is read, and has none.
func TestFormerForm(t *testing.T) {
	inv, f := &gate.Inventory{Digest: "sha256:aa", AnalyzerSet: "x"}, &gate.Findings{Matcher: "m", Vulnerabilities: []gate.Vulnerability{{ID: "CVE-1"}}}
	for name, pack := range map[string]func() ([]byte, error){
		"inventory": func() ([]byte, error) { return packed.AppendInventory(nil, inv) },
		"findings":  func() ([]byte, error) { return packed.AppendFindings(nil, f) },
		"nothing":   func() ([]byte, error) { return packed.AppendFindings(nil, &gate.Findings{}) },
	} {
		data, err := pack()
		if err != nil {
			t.Fatal(err)
		}
		for form, without := range map[byte]int{1: 2, 2: 1, 3: 1, 4: 0} { // the last bytes say that there is none
			former := slices.Clone(data[:len(data)-without])
			former[0] = form
			var got, want any
			if name == "inventory" {
				got, err = packed.Inventory(former)
				want, _ = packed.Inventory(data)
			} else {
				got, err = packed.Findings(former)
				want, _ = packed.Findings(data)
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s of the form %d: %v\n%s", name, form, err, diff)
			}
		}
	}
}
