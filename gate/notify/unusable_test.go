package notify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/digestgate/digestgate/gate"
)

// TestUnusableTargetsAreNamed: files of targets are followed while the engine runs. A
// template that does not work is said, and messages have the shipped one; without its
// address nothing is sent to a target, which is said too. A target that a reload adds is
// used, and one that it removes is not.
func TestUnusableTargetsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write := func(name, text string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		address, template := write("url", "https://chat.example.com/x"), write("template", "mine: {{.Title}}")
		f := newFixture(t, Config{Name: "a", Gather: time.Second, URLFile: address, TemplateFile: template}, Config{Name: "b", Gather: time.Second})
		both := f.Targets.File
		f.Targets.Replace(both[:1])
		reg := prometheus.NewRegistry()
		f.Metrics = NewMetrics(reg)
		n := 0
		sends := func(name, text string) {
			t.Helper()
			n++
			before := len(f.chats[name].taken())
			time.Sleep(10 * time.Second) // files are looked at
			f.source.add(flipped(n, gate.OutcomeAllow, gate.OutcomeDeny, "team/app"))
			time.Sleep(30 * time.Second)
			got := f.chats[name].taken()[before:]
			if text == "" && len(got) > 0 || text != "" && (len(got) == 0 || !strings.Contains(got[0].Text, text)) {
				t.Errorf("target %s: got %+v, want a message with %q", name, got, text)
			}
		}
		problems := func(want ...string) {
			t.Helper()
			got := f.Problems()
			if len(got) != len(want) {
				t.Fatalf("problems: got %q, want %q", got, want)
			}
			for i := range want {
				if !strings.Contains(got[i], want[i]) || strings.Contains(got[i], gate.ErrInvalid.Error()) {
					t.Errorf("problem: got %q, want %q", got[i], want[i])
				}
			}
			if m := testutil.ToFloat64(f.Metrics.broken); m != float64(len(want)) {
				t.Errorf("the metric is %v, want %d", m, len(want))
			}
		}
		f.during(t, func() {
			sends("a", "mine: ")
			problems()
			write("template", "{{.Title")
			sends("a", "- reg/team/app ")
			problems(`the target "a" is sent messages with the shipped template: the template does not parse`)
			write("template", "now: {{.Title}}")
			sends("a", "now: ")
			problems()
			if err := os.Remove(address); err != nil {
				t.Fatal(err)
			}
			sends("a", "")
			problems(`nothing is sent to the target "a": urlFile: open ` + address)
			write("url", "https://chat.example.com/x")
			sends("a", "now: ")
			problems()
			f.Targets.Replace(both)
			sends("b", "- reg/team/app ") // from when it was added on
			f.Targets.Replace(both[1:])
			sends("a", "")
		})
	})
}
