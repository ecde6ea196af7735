package webhooks

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

func TestTranslate(t *testing.T) {
	c := Config{
		Hosts:        []string{"a.example", "b.example:8082"},
		Repositories: map[string]string{"local": "docker", "local/special": "", "whole/name": "other/name"},
	}
	arrived := func(host, repository string) gate.Push {
		return gate.Push{Kind: gate.PushArrived, Host: host, Repository: repository, Tag: "1"}
	}
	unlisted := func(repository string) gate.Push {
		p := gate.Ignored("repository %q is below none of those that webhook.repositories lists", repository)
		p.Repository = repository
		return p
	}
	for name, step := range map[string]struct{ from, want gate.Push }{
		"prefix":         {arrived("", "local/team/app"), arrived("", "docker/team/app")},
		"longest":        {arrived("", "local/special/app"), arrived("", "app")},
		"whole":          {arrived("", "whole/name"), arrived("", "other/name")},
		"whole_to_none":  {arrived("", "local/special"), arrived("", "")},
		"part_of_a_part": {arrived("", "locals/app"), unlisted("locals/app")},
		"unlisted":       {arrived("", "other/app"), unlisted("other/app")},
		"host":           {arrived("A.example", "local/x"), arrived("", "docker/x")},
		"host_and_port":  {arrived("b.example:8082", "local/x"), arrived("", "docker/x")},
		"other_port":     {arrived("b.example", "local/x"), arrived("b.example", "docker/x")},
		"foreign":        {arrived("evil.example", "local/x"), arrived("evil.example", "docker/x")},
		"no_host":        {arrived("", "local/x"), arrived("", "docker/x")},
		"ignored":        {gate.Ignored("why"), gate.Ignored("why")},
	} {
		t.Run(name, func(t *testing.T) {
			r := Receiver{Parse: func(Delivery) ([]gate.Push, error) { return []gate.Push{step.from}, nil }}
			got, err := Translate(r, c).Parse(Delivery{})
			if diff := cmp.Diff([]gate.Push{step.want}, got); err != nil || diff != "" {
				t.Errorf("Parse: %v (-want +got):\n%s", err, diff)
			}
			got, _ = Translate(r, Config{Hosts: []string{"z"}}).Parse(Delivery{})
			if diff := cmp.Diff([]gate.Push{step.from}, got); diff != "" {
				t.Errorf("without repositories (-want +got):\n%s", diff)
			}
		})
	}
	r := Receiver{Parse: func(Delivery) ([]gate.Push, error) { return nil, gate.ErrInvalid }}
	if _, err := Translate(r, c).Parse(Delivery{}); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("Parse: got %v, want ErrInvalid", err)
	}
}

func TestNamesAreChecked(t *testing.T) {
	c := Config{
		Auth:         AuthNone,
		Hosts:        []string{"a.example:8082", "https://a.example", "", "a.example/x"},
		Repositories: map[string]string{"Local": "", "": "docker", "a/": "b", "fine": "team/docker", "wrong": "Team"},
	}
	err := c.Validate()
	if !errors.Is(err, gate.ErrInvalid) {
		t.Fatalf("Validate: got %v, want ErrInvalid", err)
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{"webhook.hosts[1]:", "webhook.hosts[2]:", "webhook.hosts[3]:", `webhook.repositories: ""`, `webhook.repositories: "a/"`, `webhook.repositories.wrong: "Team"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Validate: got %q, want %q in it", err, want)
		}
	}
	if len(lines) != 6 {
		t.Errorf("Validate: got %d lines, want 6:\n%s", len(lines), err)
	}
	if _, err := NewAuthenticator(c, nowFunc(), quiet()); err == nil {
		t.Error("NewAuthenticator takes what Validate refuses")
	}
}
