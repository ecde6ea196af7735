package gate

import (
	"errors"
	"testing"
)

func TestSecretText(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain":       {"secret", "secret"},
		"new_line":    {"secret\r\n", "secret"},
		"bom":         {"\xef\xbb\xbfsecret\n", "secret"},
		"bom_alone":   {"\xef\xbb\xbf\n", ""},
		"bom_inside":  {"a\xef\xbb\xbfb", "a\xef\xbb\xbfb"},
		"random_fffe": {"\xff\xfe\x01\x02", "\xff\xfe\x01\x02"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := SecretText([]byte(c.in)); err != nil || string(got) != c.want {
				t.Errorf("SecretText(%q): got %q, %v, want %q", c.in, got, err, c.want)
			}
		})
	}
	for _, in := range []string{"\xff\xfes\x00e\x00", "\xfe\xff\x00s\x00e"} {
		if got, err := SecretText([]byte(in)); !errors.Is(err, ErrInvalid) {
			t.Errorf("SecretText(%q): got %q, %v, want ErrInvalid", in, got, err)
		}
	}
}
