package text

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
)

type line struct {
	Name  string
	Rules []string
	N     int
}

func sample() any {
	return map[string]any{"Title": "t", "Items": []line{{"a", []string{"r", "s"}, 1}, {"b", nil, 2}}, "Big": 9_000_000_000_000}
}

func TestRun(t *testing.T) {
	for source, want := range map[string]string{
		"{{.Title}}": "t",
		"{{range $i, $x := .Items}}{{$i}}{{.Name}},{{end}}":                                   "0a,1b,",
		"{{range .Items}}{{if eq .N 1}}{{continue}}{{end}}{{upper .Name}}{{else}}none{{end}}": "B",
		"{{range .Items}}{{join .Rules `+`}}{{break}}{{end}}":                                 "r+s",
		"{{with .Title}}{{. | default `x`}}{{end}}{{len .Items}}":                             "t2",
		"{{$x := `a`}}{{$x = lower `B`}}{{$x}}{{(index2)}}":                                   "",
	} {
		parsed, err := Parse(source)
		if err != nil {
			if want != "" {
				t.Errorf("Parse(%q): %v", source, err)
			}
			continue
		}
		if got, err := parsed.Run(t.Context(), sample(), MaxOutput); err != nil || got != want {
			t.Errorf("Run(%q): got %q, %v, want %q", source, got, err, want)
		}
	}
}

// TestParse_refuses: what could make gigabytes, never end or reach something else is
// refused before it runs.
func TestParse_refuses(t *testing.T) {
	for _, source := range []string{
		"{{printf `%999999999d` 1}}", "{{print 1}}", "{{println 1}}", "{{html .Title}}", "{{js .Title}}", "{{urlquery .Title}}",
		"{{call .F}}", "{{index .Items 9}}", "{{slice .Title 1}}", "{{define `x`}}{{template `x`}}{{end}}{{template `x`}}", "{{block `x` .}}{{end}}",
		"{{template `template`}}", "{{.Title | printf `%9d`}}", "{{if (printf `%9d` 1)}}{{end}}", "{{range (print 1)}}{{end}}", "{{else}}", "{{" + step + "}}",
		"{{with $x := (printf `%1d` 1)}}{{end}}", "{{if true}}{{else if (print 1)}}{{end}}", "{{(print 1).Foo}}", "",
		"{{nothing}}", strings.Repeat("a", MaxTemplate+1),
	} {
		_, err := Parse(source)
		if !errors.Is(err, gate.ErrInvalid) && !errors.Is(err, gate.ErrTooLarge) {
			t.Errorf("Parse(%.60q): got %v, want a refusal", source, err)
		}
	}
}

// TestRun_bounds: nothing that parses runs for ever, writes or holds without end, or
// panics.
func TestRun_bounds(t *testing.T) {
	grow := "{{$l := .Items}}{{$x := `0123456789`}}{{range 1000000}}{{range $l}}{{$x = join .Rules $x}}{{end}}{{end}}"
	for name, c := range map[string]struct {
		source string
		want   error
	}{
		"endless_range":  {"{{range 9000000000000}}{{end}}", gate.ErrTooLarge},
		"of_data":        {"{{range .Big}}{{end}}", gate.ErrTooLarge},
		"nested":         {"{{range 1000}}{{range 1000}}{{range 1000}}{{end}}{{end}}{{end}}", gate.ErrTooLarge},
		"continued":      {"{{range 9000000000000}}{{continue}}{{end}}", gate.ErrTooLarge},
		"in_else":        {"{{range 0}}{{else}}{{range 9000000000000}}{{end}}{{end}}", gate.ErrTooLarge},
		"much_output":    {"{{range 100000}}0123456789{{end}}", gate.ErrTooLarge},
		"much_memory":    {grow, gate.ErrTooLarge},
		"upper_again":    {"{{$x := `" + strings.Repeat("y", 1000) + "`}}{{range 100000}}{{$x = upper $x}}{{end}}", gate.ErrTooLarge},
		"missing_field":  {"{{.Nothing.More}}", gate.ErrInvalid},
		"missing_key":    {"{{.Nothing}}", gate.ErrInvalid},
		"wrong_argument": {"{{upper .Items}}", gate.ErrInvalid},
		"not_comparable": {"{{lt .Items .Items}}", gate.ErrInvalid},
		"nil":            {"{{len nil}}", gate.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := Parse(c.source)
			if err == nil {
				_, err = parsed.Run(t.Context(), sample(), MaxOutput)
			}
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestRun_time: a second after it began a template is given up, whatever it does then,
// and the goroutine ends at its next step.
func TestRun_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parsed, err := Parse("{{.Slow.Wait}}{{range 3}}{{end}}")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = parsed.Run(t.Context(), map[string]any{"Slow": slow{}}, MaxOutput)
		if took := time.Since(began); !errors.Is(err, gate.ErrTimeout) || took != MaxTime {
			t.Errorf("after %s: %v", took, err)
		}
		time.Sleep(time.Hour) // the goroutine's turn; synctest fails when it stays
	})
}

type slow struct{}

func (slow) Wait() string { time.Sleep(time.Minute); return "" }

func TestEscape(t *testing.T) {
	const hostile = "<!channel> @all [a](http://e.com) *b* `c` ~d~ # > | & \\ \"q\" \u202e \r\n __x_y_"
	for markup, never := range map[Markup][]string{
		Plain:    {"\r", "\n", "\u202e"},
		JSON:     {"\r", "\n", "\u202e", "<", ">", `"q"`},
		Slack:    {"\r", "\n", "\u202e", "<", ">", "@", "*", "~", "`", "://", " __x"},
		Feishu:   {"\r", "\n", "\u202e", "<", ">", "@", "*", "~", "`", "[", "]", "://", " __x"},
		Markdown: {"\r", "\n", "\u202e", "<", ">", "@", "*", "~", "`", "[", "]", "\\", "://", "#", "!"},
	} {
		got := Escape(markup, hostile)
		for _, bad := range never {
			if strings.Contains(got, bad) {
				t.Errorf("%s: %q has %q", markup, got, bad)
			}
		}
		for _, plain := range []string{"team/app", "CVE-2026-1", "libssl3", "2.5.0-1+deb12u1", "python_package"} {
			if got := Escape(markup, plain); got != plain {
				t.Errorf("%s: %q became %q", markup, plain, got)
			}
		}
	}
	for in, want := range map[string]string{"_a_b_": "＿a_b＿", "___": "＿＿＿", "": ""} {
		if got := Escape(Markdown, in); got != want {
			t.Errorf("Escape(%q): got %q, want %q", in, got, want)
		}
	}
	if got := Escape(JSON, strings.Repeat("x", 2000)); len(got) > maxValue {
		t.Errorf("%d bytes of a value", len(got))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"{{.Title}}", "{{range .Items}}{{.Name}}{{end}}", "{{range 9000}}{{end}}", "{{if and .Title (len .Items)}}x{{else with .Title}}{{.}}{{end}}", "{{$x := 1}}{{$x}}{{break}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		parsed, err := Parse(source)
		if err != nil {
			return
		}
		if out, err := parsed.Run(t.Context(), sample(), 1000); err == nil && len(out) > 1000 {
			t.Errorf("%d bytes", len(out))
		}
	})
}
