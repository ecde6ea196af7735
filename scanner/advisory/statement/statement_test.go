package statement_test

import (
	"testing"

	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/scanner/advisory/statement"
)

// TestRead: what is written into a bucket is read again, each statement for itself.
func TestRead(t *testing.T) {
	one := statement.Statement{Package: "openssl", Source: true, FixedVersion: "1.1.1f-15.oe1", NoEpoch: true, Arches: []string{"x86_64", "aarch64"}, VendorIDs: []string{"A"}, Severity: types.SeverityLow}
	two := statement.Statement{Package: "openssl", Status: types.StatusWillNotFix, VendorIDs: []string{"B", "A"}, Severity: types.SeverityHigh}
	adv := statement.Merge(statement.Merge(one.Advisory(), two.Advisory()), one.Advisory())
	data, err := adv.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := statement.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	both := []string{"A", "B"}
	want := []statement.Statement{
		{Source: true, FixedVersion: "1.1.1f-15.oe1", NoEpoch: true, Arches: []string{"aarch64", "x86_64"}, VendorIDs: both, Severity: types.SeverityHigh},
		{Status: types.StatusWillNotFix, VendorIDs: both, Severity: types.SeverityHigh},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	plain := types.Advisory{Status: types.StatusAffected, Arches: []string{"x86_64"}}
	if data, err = plain.MarshalJSON(); err != nil {
		t.Fatal(err)
	}
	if got, err = statement.Read(data); err != nil || len(got) != 1 || got[0].Status != types.StatusAffected || len(got[0].Arches) != 1 || got[0].Source {
		t.Errorf("a plain advisory: got %+v, %v", got, err)
	}
	if _, err := statement.Read([]byte(`{"Custom":7}`)); err == nil {
		t.Error("what is no advisory was read")
	}
}

// TestUnite: where two sources speak of one package, the first decides about what it speaks
// of, and hides nothing else.
func TestUnite(t *testing.T) {
	type st = statement.Statement
	rowOf := func(list ...st) []byte {
		adv := list[0].Advisory()
		for _, s := range list[1:] {
			adv = statement.Merge(adv, s.Advisory())
		}
		data, err := adv.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	x86 := st{FixedVersion: "1-1", Arches: []string{"x86_64"}, VendorIDs: []string{"X"}}
	arm := st{FixedVersion: "1-2", Arches: []string{"aarch64"}, VendorIDs: []string{"A"}}
	every, from := st{FixedVersion: "2-1"}, st{FixedVersion: "3-1", Source: true}
	with := func(s st, arches ...string) st { s.Arches = arches; return s }
	for name, c := range map[string]struct{ first, second, want []st }{
		"other_arch":       {[]st{x86}, []st{arm}, []st{x86, arm}},
		"some_arches":      {[]st{x86}, []st{with(every, "amd64", "aarch64")}, []st{x86, with(every, "aarch64")}},
		"all_arches":       {[]st{x86}, []st{every}, []st{x86, every}},
		"same_arch":        {[]st{x86}, []st{with(every, "x86_64")}, nil},
		"arch_beside_all":  {[]st{every}, []st{arm}, nil},
		"names":            {[]st{x86}, []st{from}, []st{x86, from}},
		"names_other_way":  {[]st{from}, []st{arm}, []st{from, arm}},
		"both_have_source": {[]st{x86, from}, []st{arm, from}, []st{x86, from, arm}},
	} {
		t.Run(name, func(t *testing.T) {
			row, added, err := statement.Unite(rowOf(c.first...), rowOf(c.second...))
			if err != nil || added != (c.want != nil) {
				t.Fatalf("added %v, %v", added, err)
			}
			if !added {
				c.want = c.first
			}
			got, err := statement.Read(row)
			if err != nil {
				t.Fatal(err)
			}
			for _, list := range [][]st{got, c.want} {
				for i := range list {
					list[i].VendorIDs = nil
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	plain := []byte(`{"FixedVersion":"1"}`)
	if row, added, err := statement.Unite(plain, []byte(`{"FixedVersion":"2"}`)); err != nil || added || string(row) != string(plain) {
		t.Errorf("rows of Trivy: got %s, %v, %v", row, added, err)
	}
}

func TestStatement_Applies(t *testing.T) {
	for _, c := range []struct {
		of   []string
		arch string
		want bool
	}{
		{nil, "x86_64", true}, {[]string{"x86_64"}, "x86_64", true}, {[]string{"aarch64"}, "x86_64", false}, {[]string{"aarch64"}, "noarch", true}, {[]string{"amd64"}, "x86_64", true},
		{[]string{"x86_64", "noarch"}, "aarch64", true}, {[]string{"src"}, "x86_64", true}, {[]string{"src", "aarch64"}, "x86_64", false}, {[]string{"x86_64"}, "None", true},
	} {
		if got := (statement.Statement{Arches: c.of}).Applies(c.arch); got != c.want {
			t.Errorf("%v applies to %s: got %v", c.of, c.arch, got)
		}
	}
}

func TestStatement_Check(t *testing.T) {
	good := statement.Statement{Package: "npm", Module: "nodejs:12", FixedVersion: "1:6.14-1"}
	if err := good.Check(); err != nil || good.Key() != "nodejs:12::npm" {
		t.Errorf("got %v, key %q", err, good.Key())
	}
	for name, change := range map[string]func(*statement.Statement){
		"no_name":        func(s *statement.Statement) { s.Package = "" },
		"blank_in_name":  func(s *statement.Statement) { s.Package = "a b" },
		"module":         func(s *statement.Statement) { s.Module = "nodejs" },
		"neither":        func(s *statement.Statement) { s.FixedVersion = "" },
		"not_affected":   func(s *statement.Statement) { s.FixedVersion, s.Status = "", types.StatusNotAffected },
		"version":        func(s *statement.Statement) { s.FixedVersion = "none" },
		"blank_version":  func(s *statement.Statement) { s.FixedVersion = "1 2" },
		"no_ASCII_there": func(s *statement.Statement) { s.Package = "пакет" },
	} {
		s := good
		if change(&s); s.Check() == nil {
			t.Errorf("%s: %+v was accepted", name, s)
		}
	}
}
