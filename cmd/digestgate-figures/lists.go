package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// search asks the list of images for keywords, as a person types them.
func (b *bench) search(ctx context.Context, s *site) error {
	srv, err := b.shared(ctx, s)
	if err != nil {
		return err
	}
	words := []string{"curl", "on-alpine", "1.3", string(s.stock.Digest(b.images / 2))[:20], "nothing-has-this"}
	var took []time.Duration
	before := srv.spent()
	const again = 5
	for range again {
		for _, w := range words {
			var page struct{ Images []any }
			began := time.Now()
			if err := srv.get(ctx, "/images?limit=50&q="+url.QueryEscape(w), &page); err != nil {
				return err
			}
			took = append(took, time.Since(began))
			if len(page.Images) == 0 && w != words[len(words)-1] && w != "1.3" {
				return fmt.Errorf("the list has no image for %q", w)
			}
		}
	}
	spent := srv.spent() - before
	slices.Sort(took)
	b.table.add(fmt.Sprintf("keyword search over HTTP, %d images", s.stock.Images()), b.kind,
		fmt.Sprintf("median %s, slowest %s, %s of processor time", short(percentile(took, 50)), short(took[len(took)-1]), short(spent/time.Duration(len(took)))))
	return nil
}

// resolve measures tags of images that were never seen: reading the manifest, the record,
// the tag and the queue; the analyses wait for quota.
func (b *bench) resolve(ctx context.Context, s *site) error {
	registry, err := fake.Start(fake.Options{})
	if err != nil {
		return err
	}
	defer registry.Close()
	var images []string
	for i := range b.resolves {
		image, err := fake.NewImage(fake.ImageOptions{Config: v1.Config{Labels: map[string]string{"n": fmt.Sprint(i)}}}, fake.Tar(map[string]string{"app": "x"}))
		if err != nil {
			return err
		}
		repository, tag := fmt.Sprintf("push/app-%d", i%20), fmt.Sprintf("v%d", i)
		if _, err := registry.Push(repository, tag, image); err != nil {
			return err
		}
		images = append(images, registry.Host+"/"+repository+":"+tag)
	}
	s.stopShared()
	s.pushHost = registry.Host
	srv, err := s.serve(ctx, "api, scheduler, worker")
	if err != nil {
		return err
	}
	defer srv.stop()
	if _, err := srv.idle(ctx); err != nil {
		return err
	}
	resolved := func() (float64, error) { return srv.metric(ctx, "digestgate_jobs_total", `"resolve"`) }
	first, err := resolved()
	if err != nil {
		return err
	}
	began, before := time.Now(), srv.spent()
	wait := b.profile(srv, "resolves", 10*time.Second)
	defer wait()
	for part := range slices.Chunk(images, 500) {
		var answer any
		if err := srv.call(ctx, http.MethodPost, "/scans", map[string]any{"images": part}, &answer); err != nil {
			return err
		}
	}
	for {
		n, err := resolved()
		if err != nil {
			return err
		}
		if int(n-first) >= len(images) {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%.0f of %d resolves: %w", n-first, len(images), context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
	wall, spent := time.Since(began), srv.spent()-before
	b.table.add(fmt.Sprintf("resolves of %d tags", len(images)), b.kind, fmt.Sprintf("%.0f/s, %s of processor time each",
		float64(len(images))/wall.Seconds(), short(spent/time.Duration(len(images)))))
	return nil
}
