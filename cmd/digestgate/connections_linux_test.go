package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// connectionsEnv tells the test's own child that it has a network of its own.
const connectionsEnv = "TEST_OWN_NETWORK"

// TestNoLibraryConnects counts, in the kernel, every connection that the whole program and
// its analysers make while data is downloaded and an image is pulled, analysed and judged:
// they are those that its registries have accepted, and no other, whichever library would
// make it. Nothing asks for a name or for a way out. Its child has a network of its own
// with nothing but loopback in it.
func TestNoLibraryConnects(t *testing.T) {
	if os.Getenv(connectionsEnv) != "" {
		countConnections(t)
		return
	}
	t.Parallel()
	analyzer := programtest.AnalyzerPath(t)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoLibraryConnects$", "-test.v")
	child.Env = append(os.Environ(), connectionsEnv+"=1", "DIGESTGATE_ANALYZER="+analyzer)
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := child.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Skipf("a child with a network of its own cannot be started here: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("%s", out)
	}
}

// opened are the connections that were begun in this network, and what was sent without a
// connection or had no way out.
type opened struct{ tcp, udp, nowhere int }

func openedNow(t *testing.T) (o opened) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	get := func(protocol, name string) int {
		t.Helper()
		for i := 0; i+1 < len(lines); i += 2 {
			names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
			for j := range names {
				if names[0] == protocol+":" && names[j] == name {
					n, err := strconv.Atoi(values[j])
					if err != nil {
						t.Fatal(err)
					}
					return n
				}
			}
		}
		t.Fatalf("the kernel does not count %s of %s", name, protocol)
		return 0
	}
	return opened{get("Tcp", "ActiveOpens"), get("Udp", "OutDatagrams"), get("Ip", "OutNoRoutes")}
}

// loopbackUp makes the only interface of this network usable.
func loopbackUp(t *testing.T) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr); err != nil {
		t.Skipf("loopback cannot be switched on here: %v", err)
	}
}

// counted forwards to a registry and counts the connections that it accepts.
func counted(t *testing.T, to string) (host string, accepted *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	accepted = new(atomic.Int32)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return l.Addr().String(), accepted
}

func countConnections(t *testing.T) {
	loopbackUp(t)
	before := openedNow(t)
	if c, err := net.DialTimeout("tcp", "192.0.2.1:443", time.Second); err == nil {
		_ = c.Close()
		t.Fatal("this network has a way out")
	}
	if now := openedNow(t); now == before {
		t.Fatalf("the kernel does not count a connection that somebody tries: %+v", now)
	}

	mirror, err := fake.Start(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mirror.Close() })
	databaseArtifact(t, mirror, datedDatabase(t, 3, func(string) bool { return false }))
	data, asked := counted(t, mirror.Host)
	s := newServer(t, "")
	images, pulled := counted(t, s.registry.Host)
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), s.registry.Host, images, 1)
	changed = strings.Replace(changed, fmt.Sprintf("advisories: {path: %s/advisories, stale: allow}", s.dir),
		fmt.Sprintf("advisories: {repositories: [{repository: %q, insecure: true, own: true}], stale: allow}", data+"/mirror/trivy-db:2"), 1)
	if err := os.WriteFile(s.config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	d := s.pushDebian("team/app", "v1", demo.Released, nil)
	s.registry.Host = images // what a delivery names
	var ours atomic.Int32
	transport := http.DefaultTransport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		ours.Add(1)
		return dial(ctx, network, addr)
	}
	before = openedNow(t)
	s.start()
	eventually(t, "advisory data in use", time.Minute, func() bool { return strings.Contains(s.log.String(), `msg="advisory data is in use"`) })
	if status, body := s.deliver(hookSecret, "team/app", "v1", d); status/100 != 2 {
		t.Fatalf("delivery: %d %s", status, body)
	}
	s.until(d, time.Minute, scanned)
	s.end(os.Interrupt)
	now := openedNow(t)
	// What was counted on the way has opened one connection more, to the registry itself.
	want := 2*int(asked.Load()+pulled.Load()) + int(ours.Load())
	if asked.Load() == 0 || pulled.Load() == 0 {
		t.Fatalf("%d connections to the mirror, %d to the registry: nothing was played", asked.Load(), pulled.Load())
	}
	if got := now.tcp - before.tcp; got != want {
		t.Errorf("%d connections were begun, %d by what is known (mirror %d, registry %d, this test %d): something connects by itself", got, want, asked.Load(), pulled.Load(), ours.Load())
	}
	if now.udp != before.udp || now.nowhere != before.nowhere {
		t.Errorf("%d datagrams were sent, %d packets had no way out: something asks for a name, or for a host outside", now.udp-before.udp, now.nowhere-before.nowhere)
	}
}
