package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A bench measures one kind of store.
type bench struct {
	options
	kind  string
	dir   string
	table *table
	out   io.Writer
}

// A figure is one row or a few of the table. Those of the large site come first, in this
// order, because the later ones change what is stored.
type figure struct {
	name  string
	large bool // on the site with all images
	own   bool // it makes sites of its own, and is measured only when it is named
	run   func(*bench, context.Context, *site) error
}

func figures() []figure {
	return []figure{
		{"memory", true, false, (*bench).memory},
		{"settle", true, false, (*bench).settle},
		{"periodic", true, false, (*bench).periodic},
		{"reviews", true, false, (*bench).reviews},
		{"search", true, false, (*bench).search},
		{"difference", true, false, (*bench).difference},
		{"reviews-swept", true, false, (*bench).reviewsSwept},
		{"policy", false, false, (*bench).policy},
		{"rematch", false, false, (*bench).rematch},
		{"resolves", false, false, (*bench).resolve},
		{"growth", true, true, (*bench).growth},
		{"history", true, true, (*bench).historyCost},
		{"flip", false, true, (*bench).flip},
	}
}

func figureNames() []string {
	var out []string
	for _, f := range figures() {
		out = append(out, f.name)
	}
	return out
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, time.Now().Format("15:04:05 ")+b.kind+": "+format+"\n", args...)
}

// wanted reports whether a figure is to be measured. Images that are stored have verdicts of
// no policy; figures that come after "settle" need it.
func (b *bench) wanted(f figure) bool {
	if b.only == "" {
		return !f.own
	}
	names := strings.Split(b.only, ",")
	return slices.Contains(names, f.name)
}

func (b *bench) run(ctx context.Context) error {
	for _, size := range []struct {
		large  bool
		images int
	}{{true, b.images}, {false, b.small}} {
		var list []figure
		for _, f := range figures() {
			if f.large == size.large && !f.own && b.wanted(f) {
				list = append(list, f)
			}
		}
		if len(list) == 0 && !(b.serve && size.large) {
			continue
		}
		if err := b.measure(ctx, size.images, list); err != nil {
			return err
		}
		if b.serve {
			return nil
		}
	}
	for _, f := range figures() {
		if f.own && b.wanted(f) {
			if err := b.take(ctx, f, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure makes a site and takes figures on it.
func (b *bench) measure(ctx context.Context, images int, list []figure) (err error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	b.say("storing %d images", images)
	began := time.Now()
	s, err := newSite(ctx, b.options, b.kind, filepath.Join(b.dir, fmt.Sprint("site-", images)), images, b.out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	filled := time.Since(began)
	b.say("%d images are stored, after %s", images, short(filled))
	if b.serve {
		return b.stay(ctx, s)
	}
	if list[0].large {
		b.table.add("filling the store", b.kind, fmt.Sprintf("%s, %.0f images/s", short(filled), float64(images)/filled.Seconds()))
	}
	for _, f := range list {
		if err := b.take(ctx, f, s); err != nil {
			return err
		}
	}
	return nil
}

// take measures one figure. An error means that ctx has ended: the others are worth having
// when one fails.
func (b *bench) take(ctx context.Context, f figure, s *site) error {
	limited, cancel := context.WithTimeoutCause(ctx, b.limit, fmt.Errorf("%s takes longer than %s (-limit)", f.name, b.limit))
	defer cancel()
	b.say("measuring %s", f.name)
	err := f.run(b, limited, s)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b.say("%s: %v", f.name, err)
		b.table.add(f.name, b.kind, "not measured: "+strings.ReplaceAll(firstLine(err.Error()), "|", "/"))
	}
	return nil
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// stay serves the site for a person.
func (b *bench) stay(ctx context.Context, s *site) error {
	srv, err := s.serve(ctx, "admission, api, scheduler")
	if err != nil {
		return err
	}
	defer srv.stop()
	b.say("serving on %s; configuration %s; process %d; end it with Ctrl-C", listed(srv.addresses), filepath.Join(s.dir, "config.yaml"), srv.pid())
	select {
	case <-ctx.Done():
	case <-srv.done:
		return errEnded
	}
	return nil
}

// listed are the addresses of the listeners, by name.
func listed(addresses map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		list = append(list, name+" "+addresses[name])
	}
	return strings.Join(list, ", ")
}
