package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/store/sqlite"
)

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ have, want string }{
		{"policy.rego", "policy.rego"},
		{"/etc/gate/policy.rego", "policy.rego"},
		{"../quickstart/policy.rego", "policy.rego"},
		{"/etc/a/b.rego /etc/a/c_test.rego", "b.rego"},
		{"/etc/a/b.rego /etc/a/c/d.rego", "b.rego c/d.rego"},
		{"/srv/one/x.rego /srv/two/x.rego", "one/x.rego two/x.rego"},
		{"/srv/one/x.rego /srv/onetwo/x.rego", "one/x.rego onetwo/x.rego"},
		{"/a/x.rego a/x.rego", "/a/x.rego a/x.rego"},
		{"x.rego ../x.rego", "../x.rego x.rego"},
		{"/x.rego /y.rego", "x.rego y.rego"},
		{"rules/b.rego rules/a.rego", "a.rego b.rego"},
		{"", ""},
	} {
		var files []File
		for name := range strings.FieldsSeq(c.have) {
			files = append(files, File{Name: name})
		}
		var names []string
		for _, f := range canonical(files) {
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("canonical(%s): got %s, want %s", c.have, got, c.want)
		}
		if len(files) > 0 && contentOf(files) != contentOf(canonical(files)) {
			t.Errorf("%s: the content changes with the names", c.have)
		}
	}
}

func TestActivationKeepsFiles(t *testing.T) {
	// The worst of what JSON makes longer.
	files := []File{{Name: "p/a.rego", Text: "package a\n"}, {Name: "p/b.rego", Text: strings.Repeat("\x01", 1<<20)}}
	content, err := contentFor(files)
	if err != nil {
		t.Fatal(err)
	}
	a := agree.Activation{Number: 1, Content: content.Digest, Packed: content.Packed}
	got, err := filesOf(a)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(canonical(files), got); diff != "" {
		t.Errorf("files (-want +got):\n%.500s", diff)
	}
	for name, spoil := range map[string]func(*agree.Activation){
		"cut":     func(a *agree.Activation) { a.Packed = a.Packed[:len(a.Packed)-1] },
		"empty":   func(a *agree.Activation) { a.Packed = nil },
		"another": func(a *agree.Activation) { a.Content = contentOf(files[:1]) },
	} {
		bad := a
		spoil(&bad)
		if files, err := filesOf(bad); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("%s: got %d files, %v", name, len(files), err)
		}
	}
}

// TestTooLargeToShare: a setting takes 1 MiB, and a set that does not fit is
// refused in words.
func TestTooLargeToShare(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	random := rand.NewChaCha8([32]byte{})
	for _, size := range []int{500 << 10, 900 << 10} { // when compressed
		noise := make([]byte, size)
		_, _ = random.Read(noise)
		text := fmt.Sprintf("package a\n# %x", noise)
		_, err := NewActivations(store, "me", "v1").Activate(t.Context(), []File{{Name: "a.rego", Text: text}})
		if fits := size < 750<<10; fits != (err == nil) || !fits && (!errors.Is(err, gate.ErrTooLarge) || !strings.Contains(err.Error(), "too large to be shared")) {
			t.Errorf("%d bytes of noise: got %v", size, err)
		}
	}
}
