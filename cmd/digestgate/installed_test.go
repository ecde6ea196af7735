package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// TestWhatAnInstallationPrints: ca, token and health say what is needed inside a
// container, before the first start, while the server runs, and after.
func TestWhatAnInstallationPrints(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	private := "listen.private=:" + freePort(t, 12000)
	expect := expecting(t, "-c", s.config)
	expect(1, []string{"ca"}, "no authority in .*authority.pem. yet: the first start of a server with the role admission makes it")
	expect(1, []string{"token"}, "no admin token in .*admin-token. yet: the first start of a server makes it")
	expect(0, []string{"token", "--path"}, "^"+regexp.QuoteMeta(s.tokenFile())+"\n$")
	expect(1, []string{"health", "--set", private}, "not ready: asking the private listener: .*connection refused.*is the server running")
	expect(1, []string{"health"}, "listen.private is .127.0.0.1:0.: the system chooses the port")
	if entries, err := os.ReadDir(filepath.Join(s.dir, "data")); err == nil {
		t.Errorf("the commands made a data directory with %v", entries)
	}

	s.args = []string{"serve", "--set", private}
	s.start()
	expect(0, []string{"health", "--set", private}, `(?m)^ok    store$`)
	expect(0, []string{"health", "--live", "--set", private}, "^ok\n$")
	expect(0, []string{"health", "--url", s.urls["private"]}, `(?m)^ok    store$`)
	// A mistake in the file must not end a server that runs.
	expect(0, []string{"health", "--live", "--set", private, "--set", "scan.tiemout=1s"}, "ok\nnote: the configuration has problems")
	want := read(t, filepath.Join(s.dir, "data", "tls", "ca.crt"))
	if got := expect(0, []string{"ca"}, "^-----BEGIN CERTIFICATE-----\n"); got != want {
		t.Errorf("ca: got %q, want %q", got, want)
	}
	line := expect(0, []string{"ca", "--ca-bundle"}, `^\S+\n$`)
	if got, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line)); err != nil || string(got) != want {
		t.Errorf("ca --ca-bundle: got %q, %v", got, err)
	}
	if got, want := expect(0, []string{"token"}, `^dg_\w+\n$`), read(t, s.tokenFile()); got != want {
		t.Errorf("token: got %q, want %q", got, want)
	}
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
	expect(1, []string{"health", "--live", "--set", private}, "not live: asking the private listener")

	own := filepath.Join(s.dir, "own")
	for _, c := range []struct{ text, says string }{
		{"short", "has 5 characters, fewer than 16"},
		{"a-token-of-our-own-to-use", "^a-token-of-our-own-to-use\n$"},
	} {
		if err := os.WriteFile(own, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		code := 1
		if strings.HasPrefix(c.says, "^") {
			code = 0
		}
		expect(code, []string{"token", "--set", "auth.adminTokenFile=" + own}, c.says)
	}
	expect(1, []string{"ca", "--set", "admission.tls.certFile=" + own, "--set", "admission.tls.keyFile=" + own}, "admission.tls.certFile names .*own., whose authority digestgate does not know")
	expect(1, []string{"health", "--set", `listen.private=""`}, "listen.private is empty")
	damaged := certificate.AuthorityFile(filepath.Join(s.dir, "data"))
	if err := os.WriteFile(damaged, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(1, []string{"ca"}, "there is no certificate in PEM")
}

// TestWhatASharedStorePrints: with Redis the authority and the token are those of the
// store, also where no server has run; a wrong key opens neither, and while Redis is away
// the files of a server are printed.
func TestWhatASharedStorePrints(t *testing.T) {
	t.Parallel()
	redis := redistest.Plain(t, redistest.Options{})
	s := newServer(t, "")
	keys := [2]string{filepath.Join(s.dir, "mac.key"), filepath.Join(s.dir, "other.key")}
	for i, file := range keys {
		if err := os.WriteFile(file, bytes.Repeat([]byte{"ab"[i]}, 64), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shared := func(url string, key int, dir string) []string {
		return []string{"-c", s.config, "--set", "store.url=" + url, "--set", "store.macKeyFile=" + keys[key], "--data-dir", dir}
	}
	elsewhere := filepath.Join(s.dir, "elsewhere")
	there := expecting(t, shared(redis.URL(), 0, elsewhere)...)
	there(1, []string{"ca"}, "no authority in the store or in .* yet")
	there(1, []string{"token"}, "no admin token in the store or in .* yet")

	s.args = append([]string{"serve"}, shared(redis.URL(), 0, filepath.Join(s.dir, "data"))...)
	s.start()
	if got, want := there(0, []string{"ca"}, "^-----BEGIN"), read(t, filepath.Join(s.dir, "data", "tls", "ca.crt")); got != want {
		t.Errorf("ca: got %q, want %q", got, want)
	}
	if got, want := there(0, []string{"token"}, "^dg_"), read(t, s.tokenFile()); got != want {
		t.Errorf("token: got %q, want %q", got, want)
	}
	wrong := expecting(t, shared(redis.URL(), 1, elsewhere)...)
	wrong(1, []string{"ca"}, "is not signed with a key of store.macKeyFile.*no authority in the store or in .*elsewhere")
	wrong(1, []string{"token"}, "is not signed with a key of store.macKeyFile.*no admin token in the store or in .*elsewhere")
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("the commands made a data directory")
	}

	const away = "redis://127.0.0.1:1"
	expecting(t, shared(away, 0, elsewhere)...)(1, []string{"ca"}, "connection refused")
	files := expecting(t, shared(away, 0, filepath.Join(s.dir, "data"))...)
	files(0, []string{"ca"}, "note: this is the authority in .*connection refused")
	files(0, []string{"token"}, "^dg_")
}

// expecting runs a command with common arguments, compares its exit status and what it
// says with a pattern, and returns its standard output.
func expecting(t *testing.T, common ...string) func(code int, args []string, says string) string {
	return func(code int, args []string, says string) string {
		t.Helper()
		args = append(append([]string{}, args...), common...)
		got, stdout, stderr := command(t, args...)
		if got != code || !regexp.MustCompile("(?s)"+says).MatchString(stdout+stderr) {
			t.Errorf("%q: exit %d, want %d and %q\nstdout: %s\nstderr: %s", args, got, code, says, stdout, stderr)
		}
		return stdout
	}
}
