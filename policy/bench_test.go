package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// benchQuestion is an image with n vulnerabilities, one in fifty of which is a
// fixable critical, as the starter set sees it.
func benchQuestion(n int) gate.Question {
	inv := testInventory()
	inv.Packages = nil
	var found []gate.Vulnerability
	for i := range n {
		v := critical(fmt.Sprintf("CVE-2026-%05d", i))
		v.Package = fmt.Sprintf("lib%d", i/5)
		v.Severity = []gate.Severity{gate.SeverityHigh, gate.SeverityMedium, gate.SeverityLow, gate.SeverityMedium, gate.SeverityLow}[i%5]
		if i%50 == 0 {
			v.Severity = gate.SeverityCritical
		}
		if i%2 == 0 {
			v.FixedVersion = ""
		}
		found = append(found, v)
		if i%5 == 0 {
			inv.Packages = append(inv.Packages, gate.Package{Name: v.Package, Version: "1.0", PURL: "pkg:deb/debian/" + v.Package + "@1.0"})
		}
	}
	q := question(inv, testFindings(found...))
	q.Request = &gate.Request{Cluster: "default", Namespace: "shop", Kind: "Pod", Name: "web", Operation: "CREATE", User: "u", Container: "web"}
	return q
}

// BenchmarkWarm evaluates the starter set with the input in the cache and no
// decision in the memo.
func BenchmarkWarm(b *testing.B) {
	for _, n := range []int{10, 500, 5000} {
		b.Run(fmt.Sprintf("vulnerabilities=%d", n), func(b *testing.B) {
			e := newEngine(b, Options{})
			q := benchQuestion(n)
			e.Evaluate(context.Background(), q)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				// The starter set sees an age: a minute later is another answer.
				q.Now = testNow.Add(time.Duration(i) * time.Minute)
				if d := e.Evaluate(context.Background(), q); d.Code == gate.CodePolicyError {
					b.Fatal(d)
				}
			}
		})
	}
}

// BenchmarkMemo asks again what was decided before.
func BenchmarkMemo(b *testing.B) {
	e := newEngine(b, Options{})
	q := benchQuestion(500)
	summarized(&q)
	e.Evaluate(context.Background(), q)
	b.ReportAllocs()
	for b.Loop() {
		e.Evaluate(context.Background(), q)
	}
}

// BenchmarkCold decides about images that are not alike with the starter set, from
// findings as a store gives them: what a change of the policies costs for each image.
func BenchmarkCold(b *testing.B) {
	e := newEngine(b, Options{})
	q := benchQuestion(195)
	inv, f, _ := q.Load(context.Background())
	text, err := json.Marshal(f)
	if err != nil {
		b.Fatal(err)
	}
	q.LoadFindings = func(context.Context) (*gate.Findings, error) {
		f := new(gate.Findings)
		return f, json.Unmarshal(text, f)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		inv.OS.Name = fmt.Sprint("12.", i)
		summarized(&q)
		if d := e.Evaluate(context.Background(), q); d.Code == gate.CodePolicyError || d.Code == gate.CodeInternal {
			b.Fatal(d)
		}
	}
}

// BenchmarkMany decides about many images, of which each has a fifth of its
// vulnerabilities alone and the others with all images of its base, and then asks for
// them again, one after the other. kept-B is the heap that each image takes.
func BenchmarkMany(b *testing.B) {
	const images, bases = 3000, 10
	e := newEngine(b, Options{})
	questions := make([]gate.Question, images)
	for i := range questions {
		inv, f := testInventory(), manyFindings(i, i%bases)
		q := question(inv, f)
		q.Record.InventoryID, q.Record.FindingsID = fmt.Sprint("i", i), fmt.Sprint("f", i)
		f.InventoryID = q.Record.InventoryID
		summarized(&q)
		q.Load = nil
		q.LoadFindings = func(context.Context) (*gate.Findings, error) {
			f := manyFindings(i, i%bases)
			f.InventoryID = fmt.Sprint("i", i)
			return f, nil
		}
		questions[i] = q
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range questions {
		if d := e.Evaluate(context.Background(), questions[i]); d.Code == gate.CodeInternal || d.Code == gate.CodePolicyError {
			b.Fatal(d)
		}
	}
	kept := float64(heap()-before) / images
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.Evaluate(context.Background(), questions[i%images])
	}
	b.ReportMetric(kept, "kept-B")
	b.ReportMetric(float64(e.memos.len()), "decisions")
}

// manyFindings are 195 of an image.
func manyFindings(image, base int) *gate.Findings {
	f := testFindings()
	for k := range 195 {
		of := base
		if k%5 == 0 {
			of = 1000 + image
		}
		v := critical(fmt.Sprintf("CVE-%d-%05d", of, k))
		v.Package, v.Severity = fmt.Sprintf("lib%d", k/3), gate.Severities()[1+k*7%4]
		if k%3 == 0 {
			v.FixedVersion = ""
		}
		f.Vulnerabilities = append(f.Vulnerabilities, v)
	}
	return f
}

// summarized makes the record of a question name the values that it loads.
func summarized(q *gate.Question) {
	inv, f, _ := q.Load(context.Background())
	q.Record.TakeInventory(q.Record.InventoryID, inv)
	q.Record.TakeFindings(q.Record.FindingsID, f)
}

// BenchmarkCompose makes the input of one request around cached findings.
func BenchmarkCompose(b *testing.B) {
	q := benchQuestion(500)
	inv, f, _ := q.Load(context.Background())
	d := newDocument(everything(), allOfThem())
	fs := d.facts(newMaterial(basicsOf(inv, f), inv, f, &joint{}))
	b.ReportAllocs()
	for b.Loop() {
		d.compose(&q, fs, q.Advisories, nil)
	}
}

// BenchmarkFacts builds the shared part of the input, once for each version of
// an image's findings, whole or as the starter set sees it; est-B is what the cache
// takes it to weigh.
func BenchmarkFacts(b *testing.B) {
	set, err := Compile(Starter())
	if err != nil {
		b.Fatal(err)
	}
	for name, d := range map[string]*document{"whole": newDocument(everything(), allOfThem()), "starter": set.visible.document} {
		for _, n := range []int{10, 500, 5000} {
			b.Run(fmt.Sprintf("%s/vulnerabilities=%d", name, n), func(b *testing.B) {
				q := benchQuestion(n)
				inv, f, _ := q.Load(context.Background())
				b.ReportAllocs()
				for b.Loop() {
					b.ReportMetric(float64(d.facts(newMaterial(basicsOf(inv, f), inv, f, &joint{})).bytes), "est-B")
				}
			})
		}
	}
}

// BenchmarkCompile loads the starter set.
func BenchmarkCompile(b *testing.B) {
	files := Starter()
	for b.Loop() {
		if _, err := Compile(files); err != nil {
			b.Fatal(err)
		}
	}
}
