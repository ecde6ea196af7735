package analyzer_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestOtherBytesAreNotTheImagesFault: a child that crashes on the beginning of a
// layer, or finds it too large, says so of the bytes that a registry served. The
// image is to blame only if those were the layer's.
func TestOtherBytesAreNotTheImagesFault(t *testing.T) {
	noise := make([]byte, 4<<20) // more than the sockets hold
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	other := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[5] ^= 1
		return b
	}
	tests := map[string]struct {
		script string
		served func(pull int, b []byte) []byte
		class  error
		text   string
		pulls  int
	}{
		"crash_on_the_layer":            {"leaves", nil, gate.ErrScanFailed, "what a beginning", 2},
		"crash_on_other_bytes":          {"leaves", func(_ int, b []byte) []byte { return other(b) }, gate.ErrIntegrity, "has the digest sha256:", 2},
		"crash_on_other_bytes_once":     {"leaves", func(n int, b []byte) []byte { return pick(n == 1, other(b), b) }, gate.ErrIntegrity, "other bytes each time", 2},
		"too_large":                     {"leavestoolarge", nil, gate.ErrUnassessable, "more than 1KiB", 1},
		"too_large_of_other_bytes":      {"leavestoolarge", func(_ int, b []byte) []byte { return other(b) }, gate.ErrIntegrity, "has the digest sha256:", 1},
		"too_large_of_other_bytes_once": {"leavestoolarge", func(n int, b []byte) []byte { return pick(n == 1, other(b), b) }, gate.ErrIntegrity, "has the digest sha256:", 1},
		"too_large_of_a_short_layer":    {"leavestoolarge", func(_ int, b []byte) []byte { return b[:len(b)-1] }, gate.ErrIntegrity, "has 4", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			src := &source{}
			d := src.add([]layer{tarLayer(t, file("noise", string(noise)))}, nil)
			if tt.served != nil {
				src.spoil = func(_ context.Context, _ gate.Digest, r io.Reader) (io.ReadCloser, error) {
					b, err := io.ReadAll(r)
					return io.NopCloser(bytes.NewReader(tt.served(len(src.pulls), b))), err
				}
			}
			wantError(t, open(t, fakeChild(t, tt.script), src, nil), d, tt.class, tt.text)
			if n := len(src.pulled()); n != tt.pulls {
				t.Errorf("the layer was pulled %d times, want %d", n, tt.pulls)
			}
		})
	}
}

func pick(first bool, a, b []byte) []byte {
	if first {
		return a
	}
	return b
}

// TestConfigurationWithoutOS: it is Linux on this side too.
func TestConfigurationWithoutOS(t *testing.T) {
	for os, linux := range map[string]bool{"": true, "Linux": true, "windows": false} {
		src := &source{}
		d := src.add([]layer{tarLayer(t, file("a", "b"))}, map[string]any{"os": os})
		a := open(t, fakeChild(t, "good"), src, nil)
		if !linux {
			wantError(t, a, d, gate.ErrUnassessable, "only Linux images can be analysed")
			continue
		}
		if inv := analyze(t, a, d); inv.Platform.String() != "linux/amd64" {
			t.Errorf("os %q: got platform %q", os, inv.Platform)
		}
	}
}
