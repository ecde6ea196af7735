package gate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

func TestRegistries(t *testing.T) {
	table, err := gate.NewRegistries([]gate.Registry{
		{Name: "harbor", Host: "Harbor.example.com", Aliases: []string{"harbor.internal:8443"}, Limits: gate.Limits{Concurrency: 4}},
		{Name: "hub", Host: "docker.io", Limits: gate.Limits{PullsPerHour: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"harbor.example.com": "harbor", "HARBOR.EXAMPLE.COM": "harbor", "harbor.internal:8443": "harbor", "docker.io": "hub", "index.docker.io": "hub",
		// Whole hosts only, ports included.
		"harbor.internal": "", "harbor.example.com:443": "", "evil-harbor.example.com": "", "harbor.example.com.evil.com": "",
		"registry-1.docker.io": "", "": "",
	} {
		r, ok := table.ByHost(host)
		if r.Name != want || ok != (want != "") {
			t.Errorf("ByHost(%q): got %q, %t, want %q", host, r.Name, ok, want)
		}
	}
	if r, ok := table.ByName("hub"); !ok || r.Host != "docker.io" {
		t.Errorf("ByName: got %+v, %t", r, ok)
	}
	if r, ok := table.ByName("docker.io"); ok {
		t.Errorf("a host is no name: got %+v", r)
	}
	if all := table.All(); len(all) != 2 || all[0].Name != "harbor" {
		t.Errorf("All: got %+v, want the configured order", all)
	}
	if l := table.Limits(); len(l) != 2 || l["harbor"].Concurrency != 4 || l["hub"].PullsPerHour != 100 {
		t.Errorf("Limits: got %+v", l)
	}
}

func TestRegistriesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		list  []gate.Registry
		words string
	}{
		"name_twice":        {[]gate.Registry{{Name: "a", Host: "x"}, {Name: "a", Host: "y"}}, `"a" is configured twice`},
		"host_twice":        {[]gate.Registry{{Name: "a", Host: "x"}, {Name: "b", Host: "X"}}, `host "x" belongs to registries "a" and "b"`},
		"alias_is_a_host":   {[]gate.Registry{{Name: "a", Host: "x"}, {Name: "b", Host: "y", Aliases: []string{"x"}}}, `host "x"`},
		"alias_twice":       {[]gate.Registry{{Name: "a", Host: "x", Aliases: []string{"z"}}, {Name: "b", Host: "y", Aliases: []string{"Z"}}}, `host "z"`},
		"two_names_of_hub":  {[]gate.Registry{{Name: "a", Host: "docker.io"}, {Name: "b", Host: "index.docker.io"}}, `host "docker.io"`},
		"malformed_include": {[]gate.Registry{{Name: "a", Host: "x", Include: []string{"ok/**", "[a"}}}, `pattern "[a" is malformed`},
		"malformed_exclude": {[]gate.Registry{{Name: "a", Host: "x", Exclude: []string{"{a"}}}, `pattern "{a" is malformed`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gate.NewRegistries(c.list)
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %q", err, c.words)
			}
		})
	}
}

func TestRegistryTakes(t *testing.T) {
	for _, c := range []struct {
		include, exclude []string
		repository       string
		want             bool
	}{
		{nil, nil, "anything/at/all", true},
		{[]string{"library/**"}, nil, "library/app", true},
		{[]string{"library/**"}, nil, "library/a/b", true},
		{[]string{"library/*"}, nil, "library/a/b", false},
		{[]string{"library/**"}, nil, "library", true},
		{[]string{"library/**"}, nil, "library2/app", false},
		{[]string{"library/**"}, nil, "x/library/app", false},
		{[]string{"a", "b/*"}, nil, "b/x", true},
		{nil, []string{"**/tmp-*"}, "team/tmp-1", false},
		{nil, []string{"**/tmp-*"}, "team/app", true},
		{[]string{"team/**"}, []string{"team/secret/**"}, "team/secret/app", false},
		{[]string{"team/secret/app"}, []string{"team/**"}, "team/secret/app", false}, // exclude wins
	} {
		r := gate.Registry{Include: c.include, Exclude: c.exclude}
		if got := r.Takes(c.repository); got != c.want {
			t.Errorf("include %q, exclude %q: takes %q: got %t, want %t", c.include, c.exclude, c.repository, got, c.want)
		}
	}
}

// TestRegistries_replace: whoever holds the table sees the new one, whole.
func TestRegistries_replace(t *testing.T) {
	table, err := gate.NewRegistries([]gate.Registry{{Name: "old", Host: "old.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	next, err := gate.NewRegistries([]gate.Registry{{Name: "new", Host: "new.example.com", Limits: gate.Limits{Concurrency: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	table.Replace(next)
	if _, ok := table.ByHost("old.example.com"); ok {
		t.Error("the removed host is still there")
	}
	if _, ok := table.ByName("old"); ok {
		t.Error("the removed name is still there")
	}
	if r, ok := table.ByHost("new.example.com"); !ok || r.Name != "new" || len(table.All()) != 1 || table.Limits()["new"].Concurrency != 2 {
		t.Errorf("the new registry: got %+v, %v, of %v", r, ok, table.All())
	}
}
