package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

const anyBlob = "/v2/**/blobs/*"

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// timeoutsFor are short for what stands still or crawls, and patient with the
// rest: what a stall of the machine breaks off is asked for once more.
func timeoutsFor(faults ...fake.Fault) timeouts {
	o := patient()
	for _, f := range faults {
		if f.Stall && f.Status != 0 { // an error's body
			o.small = 300 * time.Millisecond
		} else if f.Stall {
			o.idle = time.Second
		}
		if f.Drip > 0 {
			o.window, o.minRate = 300*time.Millisecond, 10<<10
		}
	}
	return o
}

func TestBlobSurvivesFaults(t *testing.T) { // N02
	content := randomBytes(300_000)
	tests := map[string]struct {
		faults []fake.Fault
		ranges []string // Range headers of the requests
	}{
		"none":              {nil, []string{""}},
		"reset":             {[]fake.Fault{{After: 100_000, Reset: true, Times: 1}}, []string{"", "bytes=100000-299999"}},
		"reset_before_data": {[]fake.Fault{{Reset: true, Times: 1}}, nil},
		"reset_three_times": {[]fake.Fault{{After: 50_000, Reset: true, Times: 3}}, []string{"", "bytes=50000-299999", "bytes=100000-299999", "bytes=150000-299999"}},
		"ranges_ignored":    {[]fake.Fault{{After: 100_000, Reset: true, Times: 1}, {NoRange: true}}, []string{"", "bytes=100000-299999"}},
		"cut":               {[]fake.Fault{{After: 100_000, Cut: true, Times: 1}}, []string{"", "bytes=100000-299999"}},
		"drip":              {[]fake.Fault{{After: 100_000, Drip: 20 * time.Millisecond, Times: 1}}, nil},
		"bad_gateway_twice": {[]fake.Fault{{Status: 502, Times: 2}}, []string{"", "", ""}},
		"unsized":           {[]fake.Fault{{Unsized: true}}, []string{""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fake.Options{}, func(_ *Config, o *Options) { o.timeouts = timeoutsFor(tt.faults...) })
			d, err := r.PutBlob(content)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range tt.faults {
				f.Path = anyBlob
				r.Fail(f)
			}
			got, err := r.blob(t.Context(), d, int64(len(content)))
			if err != nil || !bytes.Equal(got, content) {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
			var ranges []string
			for _, q := range r.Requests() {
				ranges = append(ranges, q.Range)
			}
			if tt.ranges != nil && strings.Join(ranges, " ") != strings.Join(tt.ranges, " ") {
				t.Errorf("ranges: got %q, want %q", ranges, tt.ranges)
			}
		})
	}
}

func TestBlobGivesUp(t *testing.T) { // N02, N08, S12
	content := randomBytes(300_000)
	tests := map[string]struct {
		fault    fake.Fault
		size     int64
		want     error
		requests int // at most
	}{
		"always_reset":    {fake.Fault{After: 1000, Reset: true}, 300_000, gate.ErrRegistryUnavailable, maxResumes + 1},
		"reset_at_once":   {fake.Fault{Reset: true}, 300_000, gate.ErrRegistryUnavailable, (maxResumes + 1) * (maxRetries + 1)},
		"always_stalls":   {fake.Fault{After: 1000, Stall: true}, 300_000, gate.ErrRegistryUnavailable, 1},
		"always_drips":    {fake.Fault{Drip: 20 * time.Millisecond}, 300_000, gate.ErrRegistryUnavailable, 4},
		"always_500":      {fake.Fault{Status: 500}, 300_000, gate.ErrRegistryUnavailable, maxRetries + 1},
		"other_content":   {fake.Fault{Body: randomBytes(300_001)[1:]}, 300_000, gate.ErrIntegrity, 1},
		"one_byte_more":   {fake.Fault{}, 299_999, gate.ErrIntegrity, 1},
		"one_byte_less":   {fake.Fault{}, 300_001, gate.ErrIntegrity, 1},
		"endless_unsized": {fake.Fault{Body: content, Unsized: true, Flood: 1 << 30}, 300_000, gate.ErrIntegrity, 1},
		"unsized_too_big": {fake.Fault{Unsized: true}, 299_999, gate.ErrIntegrity, 1},
		"not_found":       {fake.Fault{Status: 404}, 300_000, gate.ErrNotFound, 1},
		"forbidden":       {fake.Fault{Status: 403}, 300_000, gate.ErrRegistryAuth, 1},
		"stalled_error":   {fake.Fault{Status: 400, Body: content, Stall: true}, 300_000, gate.ErrRegistryUnavailable, maxRetries + 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fake.Options{}, func(_ *Config, o *Options) { o.timeouts = timeoutsFor(tt.fault) })
			d, err := r.PutBlob(content)
			if err != nil {
				t.Fatal(err)
			}
			tt.fault.Path = anyBlob
			r.Fail(tt.fault)
			got, err := r.blob(t.Context(), d, tt.size)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %d bytes, %v, want %v", len(got), err, tt.want)
			}
			if n := len(r.Requests()); n > tt.requests {
				t.Errorf("%d requests, want at most %d", n, tt.requests)
			}
		})
	}
}

func TestBlobRefusesAnotherRange(t *testing.T) {
	content := randomBytes(300_000)
	r := newRig(t, fake.Options{})
	d, _ := r.PutBlob(content)
	r.Fail(fake.Fault{Path: anyBlob, After: 100_000, Reset: true, Times: 1})
	r.Fail(fake.Fault{Path: anyBlob, Status: 206, Body: content[100_000:], Header: http.Header{"Content-Range": {"bytes 0-299999/300000"}}})
	if _, err := r.blob(t.Context(), d, int64(len(content))); !errors.Is(err, gate.ErrRegistryUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestBlobStopsWithItsContext(t *testing.T) {
	content := randomBytes(300_000)
	for name, cause := range map[string]error{"cancelled_job": gate.ErrCancelled, "plain_cancel": nil} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{})
			d, _ := r.PutBlob(content)
			r.Fail(fake.Fault{Path: anyBlob, After: 1000, Stall: true})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			rc, err := r.client.Blob(ctx, r.loc, d, int64(len(content)))
			if err != nil {
				t.Fatal(err)
			}
			defer rc.Close()
			if _, err := io.ReadFull(rc, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			cancel(cause)
			_, err = rc.Read(make([]byte, 10))
			want := gate.ErrTimeout
			if cause != nil {
				want = cause
			}
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			if _, again := rc.Read(make([]byte, 10)); again != err {
				t.Errorf("the next Read: got %v, want the same error", again)
			}
		})
	}
}

func TestBlobAfterClose(t *testing.T) {
	r := newRig(t, fake.Options{})
	d, _ := r.PutBlob([]byte("content"))
	rc, err := r.client.Blob(t.Context(), r.loc, d, 7)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(rc.Close(), rc.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := rc.Read(make([]byte, 1)); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("Read: got %v", err)
	}
}

func TestBlobChecksItsArguments(t *testing.T) {
	r := newRig(t, fake.Options{})
	d, _ := r.PutBlob(nil)
	if b, err := r.blob(t.Context(), d, 0); err != nil || len(b) != 0 {
		t.Errorf("empty blob: got %d bytes, %v", len(b), err)
	}
	r.Reset()
	for name, call := range map[string]func() error{
		"digest":   func() error { _, err := r.blob(t.Context(), "sha256:../../x", 1); return err },
		"size":     func() error { _, err := r.blob(t.Context(), d, -1); return err },
		"registry": func() error { _, err := r.client.Blob(t.Context(), gate.Location{}, d, 1); return err },
	} {
		if err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := len(r.Requests()); n != 0 {
		t.Errorf("%d requests left the client", n)
	}
}

// A slow reader is not the registry's fault.
func TestBlobWaitsForItsReader(t *testing.T) {
	t.Parallel()
	const window = time.Second
	r := newRig(t, fake.Options{}, func(_ *Config, o *Options) {
		o.timeouts = patient()
		o.timeouts.window, o.timeouts.minRate = window, 900
	})
	content := randomBytes(8 << 20) // more than the socket's buffers take
	d, _ := r.PutBlob(content)
	rc, err := r.client.Blob(t.Context(), r.loc, d, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, err := io.ReadFull(rc, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * window) // the time that passes is what is tested: 1000 bytes in it are too few
	rest, err := io.ReadAll(rc)
	if err != nil || len(rest) != len(content)-1000 || r.Count("GET", "/blobs/") != 1 {
		t.Errorf("got %d bytes, %v, in %d requests", len(rest), err, r.Count("GET", "/blobs/"))
	}
}
