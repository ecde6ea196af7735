package main

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// loopback refuses every target that is not on this machine: these are attacks.
func loopback(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("reading the target %q: %w", target, err)
	}
	if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("target %q: give an address on loopback, for example https://127.0.0.1:8443", target)
	}
	return u, nil
}

// A memory watches the resident set of one process.
type memory struct {
	pid         int
	first, peak int64 // bytes
	done, ended chan struct{}
}

// watch reads the resident set of pid every 20 ms until stop is called.
func watch(pid int) (*memory, error) {
	first, err := resident(pid)
	if err != nil {
		return nil, err
	}
	m := &memory{pid: pid, first: first, peak: first, done: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		for {
			select {
			case <-m.done:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if now, err := resident(m.pid); err == nil {
				m.peak = max(m.peak, now)
			}
		}
	}()
	return m, nil
}

// stop ends the watch and says what was seen.
func (m *memory) stop() string {
	close(m.done)
	<-m.ended
	return fmt.Sprintf("memory of process %d: %d MiB before, %d MiB at most", m.pid, m.first>>20, m.peak>>20)
}

// resident is the resident set of a process in bytes (proc_pid_status(5), VmRSS).
func resident(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of process %d (-pid): %w", pid, err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("reading the memory of process %d (-pid): no VmRSS", pid)
}
