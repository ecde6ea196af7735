package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/sys/unix"
)

// containerEnv makes this test the program that starts another one in an unpacked image.
const containerEnv = "DIGESTGATE_IMAGE_TEST_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(containerEnv); root != "" {
		fmt.Fprintln(os.Stderr, "container:", enter(root, os.Args[1:]))
		os.Exit(125)
	}
	os.Exit(m.Run())
}

// enter does what a runtime does with an unpacked image: the root is read-only, the volume
// and /tmp are mounted, and the program of the image takes the place of this process, as
// the user of the image, without capabilities. It returns only with an error. The process
// is in a mount namespace of its own, on the network of the machine.
func enter(root string, args []string) error {
	data := root + ".data"
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"making mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"mounting the root", func() error { return unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, "") }},
		{"mounting /proc", func() error { return unix.Mount("/proc", root+"/proc", "", unix.MS_BIND|unix.MS_REC, "") }},
		{"mounting /dev", func() error { return unix.Mount("/dev", root+"/dev", "", unix.MS_BIND|unix.MS_REC, "") }},
		{"mounting /tmp", func() error { return unix.Mount("tmpfs", root+"/tmp", "tmpfs", 0, "mode=1777") }},
		{"mounting the volume", func() error { return unix.Mount(data, root+"/var/lib/digestgate", "", unix.MS_BIND, "") }},
		{"making the root read-only", func() error { return unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "") }},
		{"entering the root", func() error { return os.Chdir(root) }},
		{"changing the root", func() error { return unix.PivotRoot(".", ".") }},
		{"leaving the old root", func() error { return unix.Unmount(".", unix.MNT_DETACH) }},
		{"dropping groups", func() error { return unix.Setgroups(nil) }},
		{"changing the group", func() error { return unix.Setgid(user) }},
		{"changing the user", func() error { return unix.Setuid(user) }},
		{"keeping privileges away", func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return unix.Exec("/usr/local/bin/digestgate", append([]string{"digestgate"}, args...), []string{"PATH=/usr/local/bin", "HOME=/home/nonroot"})
}

// unpacked is the image for this machine as a runtime unpacks it.
type unpacked struct {
	t    *testing.T
	root string
}

// container starts a program of the image and returns it with what it says.
func (u unpacked) container(ctx context.Context, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Env = []string{containerEnv + "=" + u.root}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// says runs a command in the image and compares its exit status and what it says.
func (u unpacked) says(code int, pattern string, args ...string) string {
	u.t.Helper()
	cmd, out := u.container(u.t.Context(), args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != code || !regexp.MustCompile("(?s)"+pattern).Match(out.Bytes()) {
		u.t.Errorf("%q: %v, want exit status %d and %q, got:\n%s", args, err, code, pattern, out)
	}
	return out.String()
}

// unpack writes the root, with the owners of the image, and an empty volume beside it.
func unpack(t *testing.T, m made) unpacked {
	t.Helper()
	if !m.real {
		t.Skip("DIGESTGATE_IMAGE_PROGRAMS names no programs: make image-test does")
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test mounts and needs root")
		}
		t.Skip("this test mounts and needs root")
	}
	img, ok := m.images(t)["linux/"+runtime.GOARCH]
	if !ok {
		t.Fatalf("no image for this machine, only for %q", m.platforms)
	}
	dir := t.TempDir()
	// The user of the image has to reach it.
	for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	u := unpacked{t, filepath.Join(dir, "root")}
	files := flatten(t, img)
	files.dir("proc", 0o555, 0) // a runtime makes what it mounts on
	files.dir("dev", 0o755, 0)
	if err := os.Mkdir(u.root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := files.writeFiles(u.root); err != nil {
		t.Fatal(err)
	}
	for _, name := range files.paths() {
		if err := os.Lchown(filepath.Join(u.root, name), files[name].uid, files[name].gid); err != nil {
			t.Fatal(err)
		}
	}
	data := u.root + ".data"
	if err := errors.Join(os.Mkdir(data, 0o700), os.Chown(data, user, user)); err != nil {
		t.Fatal(err)
	}
	return u
}

// volume writes a file into the volume and returns its path in the container.
func (u unpacked) volume(name, content string) string {
	u.t.Helper()
	at := filepath.Join(u.root+".data", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(content), 0o644)); err != nil {
		u.t.Fatal(err)
	}
	return "/var/lib/digestgate/" + name
}

// freePort is a port that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestStarts: the server starts from the unpacked image with a read-only root, as the user
// of the image, becomes ready, and tells what one needs inside a container.
func TestStarts(t *testing.T) {
	t.Parallel()
	u := unpack(t, build(t))
	u.says(0, "^digestgate ", "version")
	private := freePort(t)
	config := u.volume("config.yaml", fmt.Sprintf(`
listen: {http: "127.0.0.1:0", admission: "127.0.0.1:0", private: ":%s"}
advisories: {path: %s, stale: allow}
`, private, u.advisories()))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	server, said := u.container(ctx, "serve", "-c", config)
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	u.untilReady(config, ended, said)

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.Process.Pid))
	if err != nil || !regexp.MustCompile(`(?m)^Uid:\s65532\s65532\s65532\s65532$`).Match(status) ||
		!regexp.MustCompile(`(?m)^CapEff:\s0+$`).Match(status) {
		t.Errorf("the server runs as %s, %v", status, err)
	}
	u.says(0, "^ok\n$", "health", "--live", "-c", config)
	u.says(0, "(?m)^ok    store$", "health", "-c", config)
	u.says(0, `^dg_\w+\n$`, "token", "-c", config)
	u.says(0, "^-----BEGIN CERTIFICATE-----\n.*-----END CERTIFICATE-----\n$", "ca", "-c", config)
	bundle := u.says(0, "", "ca", "--ca-bundle", "-c", config)
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(bundle)); err != nil || !strings.HasPrefix(string(raw), "-----BEGIN CERTIFICATE") {
		t.Errorf("ca --ca-bundle: got %q, %v", bundle, err)
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the server ended with %v:\n%s", err, said)
	}
	u.says(1, "not ready: asking the private listener", "health", "-c", config)
	// Whatever is written is in the volume.
	if !strings.Contains(said.String(), "isolation=") {
		t.Errorf("the server does not say that its analyser is ready:\n%s", said)
	}
	if _, err := os.Stat(filepath.Join(u.root+".data", "digestgate.db")); err != nil {
		t.Error(err)
	}
}

// untilReady waits until the server answers that it is ready.
func (u unpacked) untilReady(config string, ended <-chan error, said *bytes.Buffer) {
	u.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case err := <-ended:
			u.t.Fatalf("the server ended: %v\n%s", err, said)
		default:
		}
		cmd, _ := u.container(u.t.Context(), "health", "-c", config)
		if cmd.Run() == nil {
			return
		}
	}
	u.t.Fatalf("the server did not become ready:\n%s", said)
}

// advisories builds advisory data in the volume, with the program of the image: for one
// Debian package and one module of Go that the image has.
func (u unpacked) advisories() string {
	u.t.Helper()
	u.volume("sources/go/TEST-2026-1.json", `{"id": "TEST-2026-1", "schema_version": "1.6.0", "modified": "2026-11-01T00:00:00Z", "published": "2026-11-01T00:00:00Z",
"summary": "a module of both programs", "affected": [{"package": {"ecosystem": "Go", "name": "github.com/google/go-containerregistry"},
"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "99.0.0"}]}]}]}`)
	u.volume("sources/debian/TEST-2026-2.json", `{"id": "TEST-2026-2", "schema_version": "1.6.0", "modified": "2026-11-01T00:00:00Z", "published": "2026-11-01T00:00:00Z",
"summary": "a package of the base layer", "affected": [{"package": {"ecosystem": "Debian:12", "name": "tzdata"},
"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2099a-0+deb12u1"}]}]}]}`)
	out := "/var/lib/digestgate/advisories-built"
	u.says(0, "", "advisories", "build", "--from", "/var/lib/digestgate/sources", "--out", out, "--updated-at", "2026-11-01T00:00:00Z")
	return out
}

// TestScansItself: digestgate in the image scans the image, from a registry and from the
// archive, and finds the Debian packages and the modules of both programs.
func TestScansItself(t *testing.T) {
	t.Parallel()
	m := build(t)
	u := unpack(t, m)
	config := u.volume("config.yaml", fmt.Sprintf("advisories: {path: %s, stale: allow}\nscan: {platforms: [linux/%s]}\n", u.advisories(), runtime.GOARCH))
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/digestgate/digestgate:1.2.3"
	if err := run(t.Context(), []string{"push", "-layout", filepath.Join(m.dir, "layout"), "-to", ref, "-plain-http"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(filepath.Join(m.dir, "digestgate-linux-"+runtime.GOARCH+".tar"))
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"registry": {ref, "--plain-http"},
		"archive":  {"--input", u.volume("image.tar", string(archive))},
	} {
		cmd, out := u.container(t.Context(), append([]string{"check", "-c", config}, args...)...)
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 0 && code != 2 {
			t.Errorf("%s: exit status %d, want a verdict:\n%s", name, code, out)
		}
		for _, pattern := range []string{`TEST-2026-1\s+github.com/google/go-containerregistry.*usr/local/bin/digestgate\b`,
			`TEST-2026-1\s+github.com/google/go-containerregistry.*usr/local/bin/digestgate-analyzer\b`, `TEST-2026-2\s+tzdata\s+2026f-0\+deb12u1`} {
			if !regexp.MustCompile(pattern).Match(out.Bytes()) {
				t.Errorf("%s: want %q in:\n%s", name, pattern, out)
			}
		}
	}
}
