package faults_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

const (
	hub          = "hub"
	host         = "hub.example"
	repositories = 10
)

// world is what the registry holds: n images, each with a tag, every fourth also
// in a second repository. Every fifth has a finding that must be refused. Of n/20
// more there are deliveries and manifests, but no layers: they are gone before
// they are analysed, and cost nothing.
type world struct{ n int }

// phantom is an image without layers.
func (w world) phantom(i int) gate.Push {
	p := w.push(w.n+i%(w.n/20), false)
	p.Tag = ""
	return p
}

// phantoms are the digests of all of them.
func (w world) phantoms() map[gate.Digest]bool {
	found := map[gate.Digest]bool{}
	for i := range w.n / 20 {
		found[w.phantom(i).Digest] = true
	}
	return found
}

func (world) digest(i int) gate.Digest {
	sum := sha256.Sum256(fmt.Appendf(nil, "image %d", i))
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// digests are all, in order.
func (w world) digests() []gate.Digest {
	list := make([]gate.Digest, w.n)
	for i := range list {
		list[i] = w.digest(i)
	}
	slices.Sort(list)
	return list
}

func bad(d gate.Digest) bool {
	n, err := strconv.ParseUint(d.Hex()[:8], 16, 32)
	return err != nil || n%5 == 0
}

func location(repo int) gate.Location {
	return gate.Location{Registry: hub, Repository: fmt.Sprint("team/app", repo%repositories)}
}

// push is the delivery that tells of image i; second is of its copy.
func (w world) push(i int, second bool) gate.Push {
	if second && i%4 == 0 {
		return gate.Push{Kind: gate.PushArrived, Host: host, Repository: location(i + 1).Repository, Digest: w.digest(i), Tag: fmt.Sprint("copy", i)}
	}
	return gate.Push{Kind: gate.PushArrived, Host: host, Repository: location(i).Repository, Digest: w.digest(i), Tag: fmt.Sprint("v", i)}
}

// Head implements gate.Source and sync.Source.
func (w world) Head(_ context.Context, loc gate.Location, tag string) (gate.Digest, error) {
	for prefix, shift := range map[string]int{"v": 0, "copy": 1} {
		number, ok := strings.CutPrefix(tag, prefix)
		i, err := strconv.Atoi(number)
		if ok && err == nil && i < w.n && location(i+shift) == loc && (shift == 0 || i%4 == 0) {
			return w.digest(i), nil
		}
	}
	return "", gate.ErrNotFound
}

// Resolve implements gate.Source.
func (w world) Resolve(ctx context.Context, loc gate.Location, ref string) (gate.Manifest, error) {
	d := gate.Digest(ref)
	if !d.Valid() {
		var err error
		if d, err = w.Head(ctx, loc, ref); err != nil {
			return gate.Manifest{}, err
		}
	}
	return gate.Manifest{Digest: d, MediaType: "application/vnd.oci.image.manifest.v1+json", Kind: gate.KindImage,
		Platform: gate.Platform{OS: "linux", Architecture: "amd64"}}, nil
}

// Repositories implements sync.Source.
func (w world) Repositories(context.Context, string) (gate.RepositoryList, error) {
	list := gate.RepositoryList{Complete: true}
	for i := range repositories {
		list.Names = append(list.Names, location(i).Repository)
	}
	slices.Sort(list.Names)
	return list, nil
}

// Tags implements sync.Source.
func (w world) Tags(_ context.Context, loc gate.Location) (gate.TagList, error) {
	list := gate.TagList{Complete: true}
	for i := range w.n {
		for _, second := range []bool{false, true} {
			if p := w.push(i, second); p.Repository == loc.Repository {
				list.Tags = append(list.Tags, gate.ListedTag{Tag: p.Tag, Digest: p.Digest})
			}
		}
	}
	slices.SortFunc(list.Tags, func(a, b gate.ListedTag) int { return strings.Compare(a.Tag, b.Tag) })
	list.Tags = slices.Compact(list.Tags)
	return list, nil
}
