package admission

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

const contact = "Ask #platform-security or read https://wiki.example.com/digestgate?page=denials"

func contacted(c *Config) { c.Contact = contact }

// TestContactIsInEveryDenial: whatever refuses, and however long the rest is.
func TestContactIsInEveryDenial(t *testing.T) {
	long := strings.Repeat("CVE-2024-0001 in a package with a very long name has a fix; ", 100)
	deciders := map[string]Decider{
		"panic": deciderFunc(func(context.Context, gate.Reference, gate.Request) gate.Answer { panic("a bug") }),
		"long_findings": deciderFunc(func(context.Context, gate.Reference, gate.Request) gate.Answer {
			a := gate.Answer{Outcome: gate.OutcomeDeny, Code: gate.CodePolicy, Digest: "sha256:" + badHex}
			for n := range 50 {
				a.Reasons = append(a.Reasons, gate.Reason{Action: gate.OutcomeDeny, Rule: fmt.Sprint("rule", n), Msg: long})
			}
			return a
		}),
	}
	for code := range codes {
		deciders[string(code)] = deciderFunc(func(context.Context, gate.Reference, gate.Request) gate.Answer {
			return gate.Answer{Outcome: gate.OutcomeNone, Code: code, Text: verbatim(long)}
		})
	}
	var many []string
	for n := range 150 {
		many = append(many, fmt.Sprintf("reg.example.com/team/%s%d:1", strings.Repeat("a", 100), n))
	}
	for name, d := range deciders {
		for _, images := range [][]string{{pending}, many} {
			got, _ := answer(t, reviewer(d, contacted), review(pod(images...), nil))
			if got.Allowed || !strings.HasSuffix(got.Result.Message, ". "+contact) {
				t.Errorf("%s, %d images: got %q, want the contact at its end", name, len(images), got.Result.Message)
			}
		}
	}
	t.Run("whole_review", func(t *testing.T) {
		got, _ := answer(t, reviewer(&lookup{}, contacted), review(pod(), nil)) // no container
		if got.Allowed || !strings.HasSuffix(got.Result.Message, ". "+contact) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("no_review", func(t *testing.T) {
		h, err := NewHandler(reviewer(&lookup{}, contacted))
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, BasePath, strings.NewReader("{"))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if !strings.HasSuffix(strings.TrimSpace(w.Body.String()), ". "+contact) {
			t.Errorf("got %q", w.Body)
		}
	})
}

// TestContactInWarnings: where a refusal is only told of, the contact is a warning
// of its own, also when the others are many; nothing else brings it.
func TestContactInWarnings(t *testing.T) {
	var many []string
	for n := range 150 {
		many = append(many, fmt.Sprintf("reg.example.com/team/%s%d:1", strings.Repeat("a", 100), n))
	}
	warn := func(c *Config) { c.Mode = ModeWarn }
	for _, images := range [][]string{{pending}, many, {bad, good}} {
		got, _ := answer(t, reviewer(&lookup{}, contacted, warn), review(pod(images...), nil))
		if n := len(got.Warnings); !got.Allowed || n < 2 || got.Warnings[n-1] != "digestgate: "+contact {
			t.Errorf("%d images: got %q, want the contact last", len(images), got.Warnings)
		}
	}
	got, _ := answer(t, reviewer(&lookup{}, contacted, warn), review(pod(), nil))
	if n := len(got.Warnings); n != 2 || strings.Contains(got.Warnings[0], contact) || got.Warnings[1] != "digestgate: "+contact {
		t.Errorf("a review that is not understood: got %q", got.Warnings)
	}
	for _, image := range []string{good, warns} {
		if got, _ := answer(t, reviewer(&lookup{}, contacted), review(pod(image), nil)); strings.Contains(strings.Join(got.Warnings, " "), contact) {
			t.Errorf("%s: got %q, want no contact", image, got.Warnings)
		}
	}
}

func TestContactIsOneShortLine(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, contact: true, strings.Repeat("a", maxContact): true,
		strings.Repeat("a", maxContact+1): false, "two\nlines": false, " ": false, "tab\t": false, "ask me ": false, "caf\u00e9": false, "\x1b[31m": false,
	} {
		c := Default()
		c.Contact = text
		err := c.Validate()
		if (err == nil) != ok || err != nil && !strings.HasPrefix(err.Error(), "contact: ") {
			t.Errorf("contact %q: got %v, want ok %t", text, err, ok)
		}
	}
}
