package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"time"
)

// namespaces sends reviews from namespaces that nobody has made, with names of
// any length, each asking for an image that nobody has scanned.
func namespaces(ctx context.Context, args []string, out io.Writer) error {
	f := newFlags("namespaces", "https://127.0.0.1:8443/admission/validate")
	reviews := f.Int("reviews", 1000, "reviews, eight at a time")
	long := f.Int("long", 0, "bytes of each name; 0: a short one")
	repository := f.String("repository", "", "host/repository of the unknown images, of a configured registry; \"\": that of -image")
	if _, err := f.parse(args); err != nil {
		return err
	}
	if *repository == "" {
		*repository, _, _ = strings.Cut(*f.image, "@")
	}
	run := time.Now().UnixNano() // another run asks for other images
	return f.run(ctx, out, func(context.Context) (string, error) {
		answers := atOnce(8, *reviews, *f.target, func(i int) []byte {
			name := fmt.Sprintf("invented-%d", i)
			if *long > 0 {
				name = strings.Repeat("n", *long) + name
			}
			return review(name, "app", fmt.Sprintf("%s@sha256:%x", *repository, sha256.Sum256(fmt.Append(nil, run, i))), "")
		})
		return fmt.Sprintf("namespaces: %d reviews, answers %v", *reviews, answers), nil
	})
}
