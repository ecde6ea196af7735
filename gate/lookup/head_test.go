package lookup

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

// scriptedTags is a registry whose manifests read says.
type scriptedTags struct {
	Resolver
	read func(gate.TagKey) gate.Manifest
}

func (s scriptedTags) ReadTag(_ context.Context, key gate.TagKey, _ string) (gate.Manifest, error) {
	return s.read(key), nil
}

func newScripted(read func(gate.TagKey) gate.Manifest) *Lookup {
	return New(Parts{Resolver: scriptedTags{read: read}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, Options{}, nil)
}

func sha(n int) gate.Digest { return gate.Digest(fmt.Sprintf("sha256:%064x", n)) }

// TestManifestOfALaterAnswer: who was told something later of a tag, after a push for
// example, does not take a manifest that another began to read before.
func TestManifestOfALaterAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, late := 0, make(chan struct{})
		l := newScripted(func(gate.TagKey) gate.Manifest {
			if began++; began == 1 {
				<-late
				return gate.Manifest{Digest: sha(1), Kind: gate.KindIndex}
			}
			return gate.Manifest{Digest: sha(2), Kind: gate.KindImage}
		})
		key := gate.TagKey{Location: gate.Location{Registry: "hub", Repository: "team/app"}, Tag: "v1"}
		read := func(d gate.Digest) <-chan gate.Digest {
			h := &headed{key: key, host: "hub.example", digest: d, ended: l.events.Add(1)}
			got := make(chan gate.Digest, 1)
			go func() {
				m, err := l.shareManifest(t.Context(), &tagQuestion{key: key, host: h.host}, h)
				if err != nil {
					t.Error(err)
				}
				got <- m.Digest
			}()
			synctest.Wait()
			return got
		}
		before := read(sha(1))
		after := read(sha(2))
		close(late)
		if d := <-after; d != sha(2) {
			t.Errorf("got %s, want the manifest of %s", d, sha(2))
		}
		if d := <-before; d != sha(1) {
			t.Errorf("got %s, want the manifest of %s", d, sha(1))
		}
	})
}

// TestManifestsCount: what was read of tags takes no more than its part of the memory.
func TestManifestsCount(t *testing.T) {
	large := gate.Manifest{Digest: sha(1), Kind: gate.KindIndex}
	for n := range 1000 {
		large.Children = append(large.Children, gate.Child{Digest: sha(n), MediaType: strings.Repeat("m", 100)})
	}
	l := newScripted(func(gate.TagKey) gate.Manifest { return large })
	key := gate.TagKey{Location: gate.Location{Registry: "hub", Repository: "team/app"}}
	for n := range 100 {
		key.Tag = fmt.Sprint("v", n)
		h := &headed{key: key, host: "hub.example", digest: large.Digest}
		l.heads.Set(headName(key, h.host), h)
		if m, err := l.shareManifest(t.Context(), &tagQuestion{key: key, host: h.host}, h); err != nil || len(m.Children) != 1000 {
			t.Fatal(len(m.Children), err)
		}
	}
	l.heads.CleanUp()
	held := int64(0)
	for h := range l.heads.Values() {
		if h.got != nil {
			held += copies.WeighManifest(*h.got)
		}
	}
	if held > rememberHeads {
		t.Errorf("%d bytes of manifests are kept, want at most %d", held, rememberHeads)
	}
}
