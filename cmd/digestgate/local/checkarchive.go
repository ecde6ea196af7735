package local

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/archive"
	"github.com/digestgate/digestgate/scanner/registry"
)

// archived is the archive that a check reads instead of a registry; the zero value
// is none.
type archived struct {
	archive *archive.Archive
	digest  gate.Digest // of the image in it
	local   map[string]http.RoundTripper
}

func (x *archived) close() error {
	if x.archive == nil {
		return nil
	}
	return x.archive.Close()
}

// serve lets the archive answer for a registry.
func (x *archived) serve(name string) {
	x.local = map[string]http.RoundTripper{name: x.archive.Transport(x.digest)}
}

// openArchive opens the archive, chooses the image and the platforms.
func (k *check) openArchive(ctx context.Context) (err error) {
	k.archive, err = archive.Open(ctx, k.input, k.stdin, archive.Options{TempDir: k.dir, MaxBytes: int64(k.config.Scan.MaxImageBytes)})
	if err != nil {
		return err
	}
	if k.digest, k.ref, err = k.archive.Choose(k.ref); err != nil {
		return err
	}
	contents, err := k.archive.Contents(k.digest)
	if err != nil {
		return err
	}
	k.config.Scan.Platforms, err = k.present(contents)
	return err
}

// present leaves platforms out of which the archive has no content: docker save
// writes the index of all platforms and the content of those that it has pulled.
// What has been left out is said.
func (k *check) present(c archive.Contents) ([]string, error) {
	var kept, absent []string
	for _, text := range k.config.Scan.Platforms {
		judges, err := judging(text)
		if err != nil {
			return nil, fmt.Errorf("scan.platforms: %w", err)
		}
		whole, lacking := false, false
		for _, p := range c.Whole {
			whole = whole || judges(p)
		}
		for _, p := range c.Lacking {
			lacking = lacking || judges(p)
		}
		if lacking && !whole {
			absent = append(absent, text)
			continue
		}
		kept = append(kept, text)
	}
	if len(absent) == 0 {
		return kept, nil
	}
	var has []string
	for _, p := range c.Whole {
		has = append(has, p.String())
	}
	switch {
	case len(has) == 0:
		return kept, nil // an image without a platform: it is judged always
	case len(k.platforms) > 0 || len(kept) == 0:
		return nil, errors.New("it has no content for " + strings.Join(absent, ", ") + ", but for " + strings.Join(has, ", ") + ": use --platform " + has[0] + ", or save the image with all its platforms")
	}
	fmt.Fprintf(k.progress, "note: %s has no content for %s; only %s is judged\n", inputName(k.input), strings.Join(absent, ", "), strings.Join(kept, ", "))
	return kept, nil
}

// judging tells the platforms of which a node of one platform may run images.
func judging(text string) (func(gate.Platform) bool, error) {
	one, err := registry.ParsePlatforms([]string{text})
	if err != nil {
		return nil, err
	}
	c, err := registry.New(registry.Options{Platforms: one})
	if err != nil {
		return nil, err
	}
	return c.Judges, nil
}
