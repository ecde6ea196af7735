package refusal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

func TestEnglishIsComplete(t *testing.T) {
	if missing := english.Missing(); missing != nil {
		t.Errorf("English lacks:\n%s", strings.Join(missing, "\n"))
	}
	for key, words := range english.Words {
		for _, s := range []string{words.Say, words.Do} {
			if strings.HasSuffix(s, ".") || s != strings.TrimSpace(s) {
				t.Errorf("%s: %q has a full stop or a space at its end", key, s)
			}
		}
	}
}

// TestEveryCodeHasAUsualSentence, which says what to do unless nobody can do anything.
func TestEveryCodeHasAUsualSentence(t *testing.T) {
	for _, class := range gate.Errors() {
		key := Key(Usual(class.Code).Key)
		if m := table[key]; m.Code != class.Code || len(m.Params) > 0 {
			t.Errorf("%s: got %q: %+v", class.Code, key, m)
		}
	}
	if got := Usual("NONSENSE"); got.Key != string(Internal) {
		t.Errorf("an unknown code: got %+v", got)
	}
}

// TestWho: each key says who has to do something, and only what is over by itself, or
// by trying again, is nobody's.
func TestWho(t *testing.T) {
	for key := range table {
		m, ok := Of(Say(key, nil))
		if !ok || !slices.Contains([]Who{Nobody, Author, Operators, RegistryOwners}, m.Who) {
			t.Errorf("%s: got %+v", key, m)
		}
		do := english.Words[key].Do
		if m.Who == Nobody && do != "" && m.Code != "" && !strings.HasPrefix(do, "try again") {
			t.Errorf("%s is nobody's, and says %q", key, do)
		}
		if m.Who != Nobody && do == "" && m.Code != "" && usual[m.Code] != key && m.Params["what"] != Inner && m.Params["why"] != Inner {
			t.Errorf("%s is for %s, and says nothing to do", key, m.Who)
		}
	}
	if _, ok := Of(gate.Text{Key: "nonsense"}); ok {
		t.Error("an unknown key means something")
	}
}

// backwards is a second language: the words of the first, letters reversed.
func backwards() Language {
	l := Language{Words: map[Key]Words{}, Retry: "!yrter", Then: " ~ "}
	reverse := func(s string) string {
		var out strings.Builder
		for s != "" {
			i := strings.LastIndexByte(s, '{')
			if j := strings.LastIndexByte(s, '}'); j == len(s)-1 {
				out.WriteString(s[i:])
				s = s[:i]
				continue
			}
			out.WriteByte(s[len(s)-1])
			s = s[:len(s)-1]
		}
		return out.String()
	}
	for key, words := range english.Words {
		l.Words[key] = Words{Say: reverse(words.Say), Do: reverse(words.Do)}
	}
	return l
}

// sample is a text with a key and a value for each of its parameters.
func sample(key Key) gate.Text {
	p := P{}
	for name, kind := range table[key].Params {
		if kind == Inner {
			p[name] = Say(Detail, P{"text": fmt.Sprintf("<%s>", name)})
			continue
		}
		p[name] = fmt.Sprintf("<%s>", name)
	}
	return Say(key, p)
}

// TestAnotherLanguage renders every key in a second language: nothing of the first is
// left, and each parameter is there.
func TestAnotherLanguage(t *testing.T) {
	other := backwards()
	if missing := other.Missing(); missing != nil {
		t.Fatalf("the language lacks:\n%s", strings.Join(missing, "\n"))
	}
	for key, m := range table {
		text := sample(key)
		for name, l := range map[string]Language{"english": english, "backwards": other} {
			got := l.Render(text)
			for param := range m.Params {
				if !strings.Contains(got, "<"+param+">") {
					t.Errorf("%s in %s: got %q, want {%s} in it", key, name, got, param)
				}
			}
			if strings.ContainsAny(got, "{}") || m.Retries != strings.Contains(got, l.Retry) {
				t.Errorf("%s in %s: got %q", key, name, got)
			}
		}
	}
	if got, want := other.Render(Say(TagPushed, P{"tag": "v1"})), `dehsup gnieb si "v1" gat ~ tsegid eht esu ro ,niaga yrt`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMissing: what a language lacks is named, so that an added key or parameter makes
// the test of each language fail.
func TestMissing(t *testing.T) {
	l := backwards()
	delete(l.Words, Busy)
	l.Words[TagPushed] = Words{Say: "a tag is being pushed"}
	l.Words[TagSilent] = Words{Say: "{registry} {tag} {host}"}
	l.Words["nonsense"] = Words{Say: "x"}
	l.Retry = ""
	got := l.Missing()
	for _, want := range []string{
		"busy: no words", "tag.pushed: {tag} is not said", "tag.silent: it has no parameter {host}", "nonsense: no such key", "Retry and Then: no words",
	} {
		found := false
		for _, m := range got {
			found = found || m == want
		}
		if !found {
			t.Errorf("got %q, want %q among them", got, want)
		}
	}
	if len(got) != 5 {
		t.Errorf("got %q", got)
	}
	if got := l.Render(Say(Busy, nil)); got != "too many reviews at once ~ try again" {
		t.Errorf("a key without words: got %q, want those in English", got)
	}
}

// TestHostileParameters: no value breaks out of its sentence, whatever its kind.
func TestHostileParameters(t *testing.T) {
	const hostile = "a\"\x1b[31m\r\n{tag} {why}\u202e\u00e9\xff"
	for key, m := range table {
		p := P{}
		for name, kind := range m.Params {
			if p[name] = any(hostile + strings.Repeat("x", 10_000)); kind == Inner {
				p[name] = gate.Text{Key: hostile}
			}
		}
		got := English(Say(key, p))
		for _, r := range got {
			if r < 0x20 || r > 0x7e {
				t.Errorf("%s: got %q", key, got)
				break
			}
		}
		if len(got) > 9000 {
			t.Errorf("%s: %d bytes", key, len(got))
		}
	}
	for want, text := range map[string]gate.Text{
		`tag "a\"\x1b{tag}" is being pushed; try again, or use the digest`: Say(TagPushed, P{"tag": "a\"\x1b{tag}"}),
		"": {},
		`what tag "v1" names is not known: the name of registry "hub" cannot be resolved; the operators must correct its host or the name service; try again, or use the digest`: Say(TagUnknown, P{
			"tag": "v1", "why": Say(CauseName, P{"registry": Say(Registry, P{"name": "hub"})})}),
		"its scan is running, usually about 7 s; a controller retries by itself, a bare Pod must be applied again": Say(PendingRunningUsual, P{"seconds": 7}),
		"no decision in time; try again; too many reviews at once; try again":                                      All(gate.Text{}, Say(Timeout, nil), Say(Busy, nil)),
	} {
		if got := English(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestDeepTexts: a text that was made to be deep ends.
func TestDeepTexts(t *testing.T) {
	deep := Say(Busy, nil)
	for range 1000 {
		deep = Say(PendingWaits, P{"why": deep})
	}
	if got := English(deep); len(got) > 9000 {
		t.Errorf("%d bytes", len(got))
	}
}

// TestTextsAreKept: a text that was stored or sent says the same.
func TestTextsAreKept(t *testing.T) {
	for key := range table {
		text := sample(key)
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var got gate.Text
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, got); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", key, diff)
		}
	}
}
