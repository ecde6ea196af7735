package redis_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// prover is what lookup.RecordCopy asks.
type prover interface {
	Prove(ctx context.Context, req gate.ReadRequest) (copies.Proved, bool, error)
}

// proves checks what is proved of the record and the tag; asked says that all was copied.
func (v *versions) proves(what string, asked, record, tag bool) {
	v.Helper()
	p, ok, err := v.s.Admission().(prover).Prove(v.Context(), gate.ReadRequest{Digests: []gate.Digest{v.digest}, Tags: []gate.TagKey{v.tag}})
	if err != nil || ok != asked {
		v.Fatalf("%s: asked %t, %v; want %t", what, ok, err, asked)
	}
	if !ok {
		return
	}
	if r, t := p.Entries[0] != nil, p.Tags[0] != nil; r != record || t != tag || p.Now.IsZero() {
		v.Errorf("%s: record proved %t, tag %t, at %s; want %t, %t", what, r, t, p.Now, record, tag)
	}
}

// TestProve: copies are proved while the server holds the very values that were copied,
// and at no other time.
func TestProve(t *testing.T) {
	spoil := map[string]func(text string) string{
		"removed":  nil,
		"cut":      func(text string) string { return text[:len(text)-1] },
		"longer":   func(text string) string { return text + " " },
		"unsigned": func(text string) string { return "1." + strings.Repeat("A", 43) + text[45:] },
	}
	for name, change := range spoil {
		t.Run(name, func(t *testing.T) {
			v := newVersions(t)
			v.proves("nothing is copied", false, false, false)
			v.sees("read", 1, 1)
			v.proves("copied", true, true, true)
			record, tag := v.keys()
			for _, key := range []string{record, tag} {
				text := v.get(key)
				if change == nil {
					if err := v.server.Do("del", key).Err(); err != nil {
						t.Fatal(err)
					}
				} else {
					v.set(key, change(text))
				}
				v.proves("spoiled "+key, true, key != record, key != tag)
				v.set(key, text)
				v.proves("put right", true, true, true)
			}
			v.put(2)
			v.proves("written again", true, false, false)
			v.sees("read again", 2, 2)
			v.proves("copied again", true, true, true)
		})
	}
}

// TestProve_putBack: a copy that is older than what this process has seen is not proved,
// although the server holds it.
func TestProve_putBack(t *testing.T) {
	v := newVersions(t)
	v.sees("read", 1, 1)
	record, tag := v.keys()
	formerRecord, formerTag := v.get(record), v.get(tag)
	v.put(2) // which this process has seen
	v.set(record, formerRecord)
	v.set(tag, formerTag)
	v.proves("put back", true, false, false)
}

// TestProve_oneRoundTrip: the proof is one pipeline with a command for each value.
func TestProve_oneRoundTrip(t *testing.T) {
	v := newVersions(t)
	v.sees("read", 1, 1)
	wire := &roundTrips{}
	v.s.HookReads(wire)
	v.proves("copied", true, true, true)
	if len(wire.pipelines) != 1 || wire.pipelines[0] != 3 || len(wire.alone) > 0 {
		t.Errorf("pipelines of %v commands, alone %v; want one of three", wire.pipelines, wire.alone)
	}
	// A server that has forgotten the scripts, or cannot be reached, proves nothing.
	if err := v.server.Do("script", "flush").Err(); err != nil {
		t.Fatal(err)
	}
	v.proves("forgotten", false, false, false)
	v.sees("read", 1, 1)
	v.proves("learnt", true, true, true)
	ended, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, ok, err := v.s.Admission().(prover).Prove(ended, gate.ReadRequest{Digests: []gate.Digest{v.digest}}); ok || err == nil {
		t.Errorf("without time: %t, %v", ok, err)
	}
}
