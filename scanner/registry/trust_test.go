package registry

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// TestCertificatesAreReadAgain: a registry's authority is replaced while the
// client is used.
func TestCertificatesAreReadAgain(t *testing.T) {
	o := fake.Options{TLS: true}
	wrong := string(start(t, o).CAPEM())
	var seconds atomic.Int64
	began := time.Now() // the certificates live for a day
	var log bytes.Buffer
	var name string
	r := newRig(t, o, func(c *Config, opts *Options) {
		name = c.CAFile
		opts.Now = func() time.Time { return began.Add(time.Duration(seconds.Load()) * time.Second) }
		opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	right := string(r.CAPEM())
	r.push(t, "v1", 10)
	head := func() error {
		_, err := r.client.Head(t.Context(), r.loc, "v1")
		return err
	}
	replace := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		seconds.Add(3600) // past the pause of a registry that failed
	}
	if err := head(); err != nil {
		t.Fatal(err)
	}

	// An open connection is not used any more when its authority went.
	replace(wrong)
	if err := head(); err == nil || !strings.Contains(err.Error(), "configure caFile") {
		t.Errorf("with the certificate of another registry: %v", err)
	}
	steps, err := r.client.Probe(t.Context(), "test", "")
	if err != nil || !strings.Contains(steps[1].Text, "not trusted") {
		t.Errorf("connection test: %+v, %v", steps, err)
	}
	replace(wrong + right)
	if err := head(); err != nil {
		t.Errorf("with both certificates: %v", err)
	}

	// A bad file keeps the earlier one, and says so once.
	log.Reset()
	for _, text := range []string{"no certificate", "no certificate", strings.Repeat(right, 1+maxCABytes/len(right))} {
		replace(text)
		r.client.sessions["test"].close() // no connection is left over
		if err := head(); err != nil {
			t.Errorf("with a bad file: %v", err)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	seconds.Add(3600)
	r.client.sessions["test"].close()
	if err := head(); err != nil {
		t.Errorf("without the file: %v", err)
	}
	for said, want := range map[string]int{"holds no PEM certificate": 1, "is larger than 1MiB": 1, "no such file": 1, "registry=test": 3} {
		if got := strings.Count(log.String(), said); got != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", said, got, want, &log)
		}
	}
	replace(wrong)
	if err := head(); err == nil {
		t.Error("a good file after a bad one is not taken")
	}
}
