package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func runPush(ctx context.Context, args []string, out io.Writer) error {
	var dir, to string
	var plain bool
	flags := flag.NewFlagSet("push", flag.ContinueOnError)
	flags.StringVar(&dir, "layout", "", "the layout that build has written")
	flags.StringVar(&to, "to", "", "repository and tag, such as registry.example.com/digestgate:1.0")
	flags.BoolVar(&plain, "plain-http", false, "a registry without TLS")
	if err := parse(flags, args); err != nil {
		return err
	}
	digest, err := push(ctx, dir, to, plain)
	if err != nil {
		return fmt.Errorf("pushing %q: %w", to, err)
	}
	_, err = fmt.Fprintln(out, digest)
	return err
}

// push pushes the image of a layout under a tag, and the SBOMs that refer to its platforms.
// It logs in with what docker login keeps.
func push(ctx context.Context, dir, to string, plain bool) (v1.Hash, error) {
	var options []name.Option
	if plain {
		options = append(options, name.Insecure)
	}
	tag, err := name.NewTag(to, options...)
	if err != nil {
		return v1.Hash{}, err
	}
	path, err := layout.FromPath(dir)
	if err != nil {
		return v1.Hash{}, err
	}
	all, err := path.ImageIndex()
	if err != nil {
		return v1.Hash{}, err
	}
	list, err := all.IndexManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	auth := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	var pushed v1.Hash
	for _, d := range list.Manifests {
		if d.MediaType.IsIndex() {
			index, err := all.ImageIndex(d.Digest)
			if err != nil {
				return v1.Hash{}, err
			}
			if err := remote.WriteIndex(tag, index, auth...); err != nil {
				return v1.Hash{}, err
			}
			pushed = d.Digest
			continue
		}
		attachment, err := all.Image(d.Digest)
		if err != nil {
			return v1.Hash{}, err
		}
		if err := remote.Write(tag.Digest(d.Digest.String()), attachment, auth...); err != nil {
			return v1.Hash{}, err
		}
	}
	if pushed == (v1.Hash{}) {
		return v1.Hash{}, fmt.Errorf("layout %q holds no index", dir)
	}
	return pushed, nil
}
