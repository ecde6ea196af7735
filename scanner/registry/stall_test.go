package registry

import (
	"errors"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// TestStalledBodies: a body of which no byte comes costs one idle time, not one
// for each resumption; after some in a row the host is left alone for layers,
// while it goes on answering for everything else.
func TestStalledBodies(t *testing.T) {
	content := randomBytes(3000)
	now := time.Date(2026, 11, 30, 1, 0, 0, 0, time.UTC)
	r := newRig(t, fake.Options{}, func(_ *Config, o *Options) {
		o.timeouts, o.Now = timeoutsFor(fake.Fault{Stall: true}), func() time.Time { return now }
	})
	d, _ := r.push(t, "1.0", 1000)
	layer, err := r.PutBlob(content)
	if err != nil {
		t.Fatal(err)
	}
	r.Fail(fake.Fault{Path: "/v2/**/blobs/" + string(layer), After: 10, Stall: true, Times: stallBreak + 1})
	asked := func() (n int) {
		for _, q := range r.Requests() {
			if q.Path == "/v2/"+r.loc.Repository+"/blobs/"+string(layer) {
				n++
			}
		}
		return n
	}
	pull := func() error {
		_, err := r.blob(t.Context(), layer, int64(len(content)))
		return err
	}
	for i := range stallBreak {
		if err := pull(); !errors.Is(err, gate.ErrRegistryUnavailable) || asked() != i+1 {
			t.Fatalf("stall %d: %v after %d requests", i+1, err, asked())
		}
		if _, err := r.client.Image(t.Context(), r.loc, d); err != nil { // its other answers do not excuse it
			t.Fatal(err)
		}
	}
	var wait *gate.RetryAfterError
	if err := pull(); !errors.As(err, &wait) || wait.After != firstStallBreak || asked() != stallBreak {
		t.Fatalf("after %d stalls: %v, %d requests", stallBreak, err, asked())
	}
	if _, err := r.client.Head(t.Context(), r.loc, "1.0"); err != nil {
		t.Errorf("a tag of a host whose layers stand still: %v", err)
	}
	now = now.Add(firstStallBreak)
	if err := pull(); errors.As(err, &wait) && wait.After == firstStallBreak || err == nil {
		t.Fatalf("tried again: %v", err)
	}
	if err := pull(); !errors.As(err, &wait) || wait.After != 2*firstStallBreak {
		t.Fatalf("after one more: %v", err)
	}
	now = now.Add(2 * firstStallBreak)
	for range 2 { // it has recovered
		if err := pull(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWrongSizeInTheManifest: bytes that have their digest and another size than
// the manifest says are its fault for good; other bytes are the registry's.
func TestWrongSizeInTheManifest(t *testing.T) {
	content := randomBytes(300_000)
	for name, tt := range map[string]struct {
		size      int64
		fault     fake.Fault
		permanent bool
	}{
		"too_small":         {299_000, fake.Fault{}, true},
		"too_large":         {301_000, fake.Fault{}, true},
		"too_small_unsized": {1, fake.Fault{Unsized: true}, true},
		"too_large_unsized": {301_000, fake.Fault{Unsized: true}, true},
		"cut":               {301_000, fake.Fault{Body: content[:200_000]}, false},
		"longer":            {300_000, fake.Fault{Body: append(content[:300_000:300_000], 1)}, false},
		"other_bytes":       {300_000, fake.Fault{Body: randomBytes(300_001)[1:]}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{}, func(_ *Config, o *Options) { o.timeouts = patient() })
			d, err := r.PutBlob(content)
			if err != nil {
				t.Fatal(err)
			}
			tt.fault.Path = anyBlob
			r.Fail(tt.fault)
			_, err = r.blob(t.Context(), d, tt.size)
			if !errors.Is(err, gate.ErrIntegrity) || errors.Is(err, gate.ErrPermanent) != tt.permanent {
				t.Errorf("got %v, want permanent %v", err, tt.permanent)
			}
		})
	}
}

// TestWrongSizeOfAConfiguration: a configuration that is longer than any may be is
// not read to its end to learn whose fault that is.
func TestWrongSizeOfAConfiguration(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes     int
		permanent bool
	}{
		"short": {300_000, true},
		"long":  {MaxConfigBytes + 1<<20, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{}, func(_ *Config, o *Options) { o.timeouts = patient() })
			d, err := r.PutBlob(randomBytes(tt.bytes))
			if err != nil {
				t.Fatal(err)
			}
			s, err := r.client.session(r.loc)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.readConfig(t.Context(), r.loc.Repository, descriptor{Digest: d, Size: 100})
			if !errors.Is(err, gate.ErrIntegrity) || errors.Is(err, gate.ErrPermanent) != tt.permanent {
				t.Errorf("got %v, want ErrIntegrity, for good: %t", err, tt.permanent)
			}
		})
	}
}
