package gate

import (
	"errors"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
)

const testHex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// TestParseReference_accepted pins the canonical form of what a node accepts
// (rows R01, R09, R16, R19, R22 of the catalogue in docs/admission.md).
func TestParseReference_accepted(t *testing.T) {
	digest := Digest("sha256:" + testHex)
	long := strings.Repeat("a", 255)
	tests := map[string]struct {
		in   string
		want Reference
	}{
		"short_name":           {"nginx", Reference{Host: "docker.io", Repository: "library/nginx", Tag: "latest"}},
		"short_name_and_tag":   {"library/nginx:latest", Reference{Host: "docker.io", Repository: "library/nginx", Tag: "latest"}},
		"docker_hub":           {"docker.io/nginx", Reference{Host: "docker.io", Repository: "library/nginx", Tag: "latest"}},
		"legacy_docker_hub":    {"index.docker.io/library/nginx", Reference{Host: "docker.io", Repository: "library/nginx", Tag: "latest"}},
		"hub_by_another_name":  {"registry-1.docker.io/library/nginx", Reference{Host: "registry-1.docker.io", Repository: "library/nginx", Tag: "latest"}},
		"hub_with_port":        {"docker.io:443/nginx", Reference{Host: "docker.io:443", Repository: "nginx", Tag: "latest"}},
		"port":                 {"reg.example.com:5000/team/app:1.0", Reference{Host: "reg.example.com:5000", Repository: "team/app", Tag: "1.0"}},
		"digest":               {"reg.example.com/app@" + string(digest), Reference{Host: "reg.example.com", Repository: "app", Digest: digest}},
		"tag_beside_digest":    {"reg.example.com/app:1.0@" + string(digest), Reference{Host: "reg.example.com", Repository: "app", Digest: digest}},
		"punycode_stays_as_is": {"xn--e1awd7f.com/app", Reference{Host: "xn--e1awd7f.com", Repository: "app", Tag: "latest"}},
		"address":              {"10.0.0.5:5000/app", Reference{Host: "10.0.0.5:5000", Repository: "app", Tag: "latest"}},
		"address_6":            {"[::1]:5000/app", Reference{Host: "[::1]:5000", Repository: "app", Tag: "latest"}},
		"localhost":            {"localhost/app", Reference{Host: "localhost", Repository: "app", Tag: "latest"}},
		"longest_repository":   {"reg.example.com/" + long, Reference{Host: "reg.example.com", Repository: long, Tag: "latest"}},
		"longest_tag":          {"reg.example.com/a:" + long[:128], Reference{Host: "reg.example.com", Repository: "a", Tag: long[:128]}},
		"sha256_as_repository": {"team/sha256:" + testHex, Reference{Host: "docker.io", Repository: "team/sha256", Tag: testHex}},
		"hexadecimal_name":     {"deadbeef", Reference{Host: "docker.io", Repository: "library/deadbeef", Tag: "latest"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseReference(test.in)
			test.want.Raw = test.in
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("ParseReference(%q): error %v, difference (-want +got):\n%s", test.in, err, diff)
			}
		})
	}
}

// TestParseReference_refused holds the forms that a node refuses, and those
// in which node and registry disagree (R03–R08, R11–R15, R19, R22, R23).
func TestParseReference_refused(t *testing.T) {
	long := strings.Repeat("a", 260)
	invalid := []string{
		"", " ", "Foo/bar", "LOCALHOST/app", "Docker.io/nginx", "REG.example.com/app@sha256:" + testHex,
		"reg.example.com./app", "reg.example.com./app@sha256:" + testHex, "reg..example.com/app",
		"reg.example.com:/app", "-reg.example.com/app", "oci://reg.example.com/app", "http://reg.example.com/app",
		"reg.example.com/a___b", "reg.example.com/a/../b", "reg.example.com/a//b", "reg.example.com/./b", "/a",
		"reg.example.com/a/", "reg.example.com/.hidden/x", "reg.example.com/a/-b", "reg.example.com/%2e%2e/b",
		"nginx:.tag", "nginx:-tag", "app:.x@sha256:" + testHex, "app:@sha256:" + testHex,
		"app@sha512:" + testHex + testHex, "app@sha384:" + testHex + testHex[:32], "app@sha256:" + strings.ToUpper(testHex),
		"app@sha256:" + testHex[1:], "app@sha256:" + testHex + "0", "app@md5:" + testHex[:32],
		"app@sha256:" + testHex + "@sha256:" + testHex,
		"r\u0435g.example.com/app", "reg\u3002example.com/app", "\uff52eg.example.com/app", "reg.example.com/\u202eapp",
		"app\x00", "app\n", " app", "app ", "reg.example.com/a b", "user:pass@host/app", "xn--example-.com/app", `reg.example.com\app`, "app#x", "app?x",
		"reg.example.com:05000/app", "reg.example.com:99999/app", "reg.example.com:0/app", "reg.example.com:65536/app",
		"reg.example.com/" + long[:256], "reg.example.com/a:" + long[:129], "[::ffff:169.254.169.254]/app",
		strings.Repeat("a.", 125) + "abcd/app", strings.Repeat("a", 8<<10), "[::FFFF]:5000/app",
	}
	for _, in := range invalid {
		t.Run(Printable(in, 40), func(t *testing.T) {
			got, err := ParseReference(in)
			var refErr *ReferenceError
			if !errors.Is(err, ErrRefInvalid) || !errors.As(err, &refErr) || refErr.Reason == "" {
				t.Errorf("ParseReference(%q): got %+v, %v, want ErrRefInvalid with a reason", in, got, err)
			}
			if CodeOf(err) != CodeRefInvalid {
				t.Errorf("CodeOf(%v): got %s", err, CodeOf(err))
			}
		})
	}
	ambiguous := []string{"sha256:" + testHex, "sha256:" + testHex[:12], testHex, "sha256:latest", "sha512:" + testHex, "sha256:"}
	for _, in := range ambiguous {
		t.Run(Printable(in, 40), func(t *testing.T) {
			if got, err := ParseReference(in); CodeOf(err) != CodeRefAmbiguous {
				t.Errorf("ParseReference(%q): got %+v, %v, want ErrRefAmbiguous", in, got, err)
			}
		})
	}
}

func TestReference_pin(t *testing.T) {
	ref, err := ParseReference("app:1.0")
	if err != nil {
		t.Fatal(err)
	}
	pinned := ref.Pin(Digest("sha256:" + testHex))
	if got, want := pinned.String(), "docker.io/library/app@sha256:"+testHex; got != want || pinned.Tag != "1.0" {
		t.Errorf("Pin: got %q with tag %q, want %q with tag 1.0", got, pinned.Tag, want)
	}
	if ref.Digest != "" {
		t.Error("Pin changed its receiver")
	}
}

// FuzzParseReference compares with the grammar of the nodes (R25): what is
// accepted here is accepted there and means the same, and its canonical form
// parses to itself.
func FuzzParseReference(f *testing.F) {
	for _, s := range []string{
		"nginx", "docker.io/nginx:1", "index.docker.io/a/b", "reg.example.com:5000/a:b@sha256:" + testHex, "sha256:" + testHex,
		testHex, "Foo/bar", "[::1]:5000/app", "a_b.c/app:1", "reg.example.com:05000/app", "app@sha512:" + testHex + testHex, "localhost/a__b.c-d",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseReference(s)
		if diff := againstLibrary(s, got, err); diff != "" {
			t.Fatal(diff)
		}
		if err != nil {
			if code := CodeOf(err); code != CodeRefInvalid && code != CodeRefAmbiguous {
				t.Fatalf("ParseReference(%q): %v has code %s", s, err, code)
			}
			return
		}
		oracle, err := reference.ParseDockerRef(s)
		if err != nil {
			t.Fatalf("ParseReference(%q) accepts what a node refuses: %v", s, err)
		}
		if got.String() != oracle.String() {
			t.Fatalf("ParseReference(%q): got %q, a node reads %q", s, got, oracle)
		}
		if got.Host != CanonicalHost(got.Host) || (got.Tag == "") == (got.Digest == "") {
			t.Fatalf("ParseReference(%q): got %+v", s, got)
		}
		again, err := ParseReference(got.String())
		again.Raw = got.Raw
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Fatalf("ParseReference(%q) is not stable: %v\n%s", got, err, diff)
		}
	})
}
