package policy

import (
	"context"
	"fmt"
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
	e.Evaluate(context.Background(), q)
	b.ReportAllocs()
	for b.Loop() {
		e.Evaluate(context.Background(), q)
	}
}

// BenchmarkCompose makes the input of one request around cached findings.
func BenchmarkCompose(b *testing.B) {
	q := benchQuestion(500)
	inv, f, _ := q.Load(context.Background())
	fs := newFacts(inv, f)
	b.ReportAllocs()
	for b.Loop() {
		compose(q, fs)
	}
}

// BenchmarkFacts builds the shared part of the input, once for each version of
// an image's findings; est-B is what the cache takes it to weigh.
func BenchmarkFacts(b *testing.B) {
	for _, n := range []int{10, 500, 5000} {
		b.Run(fmt.Sprintf("vulnerabilities=%d", n), func(b *testing.B) {
			q := benchQuestion(n)
			inv, f, _ := q.Load(context.Background())
			b.ReportAllocs()
			for b.Loop() {
				b.ReportMetric(float64(newFacts(inv, f).bytes), "est-B")
			}
		})
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
