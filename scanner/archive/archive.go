package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

const (
	// maxDocumentBytes bounds an index, a manifest and a configuration, as
	// scanner/registry does.
	maxDocumentBytes = 4 << 20
	// maxNesting is how deep indexes may contain indexes, as there.
	maxNesting = 2
	// maxImages bounds the images of one file.
	maxImages = 1000
)

// Archive is an open file or directory.
type Archive struct {
	files files
	blobs map[gate.Digest]blob // what has another name than a layout gives it
	named []Named
}

// Named is one image or index of an archive, with the names it has there.
type Named struct {
	Digest gate.Digest
	// Names are as the archive has them, tags alone included. Hostile text.
	Names []string
}

// blob is content by digest: a file of the archive, or bytes made here.
type blob struct {
	file  string
	bytes []byte
}

// Options say where a compressed archive is unpacked to, and how large it may be
// then.
type Options struct {
	// TempDir must be private; what is made in it is removed by Close.
	TempDir string
	// MaxBytes bounds what a compressed archive unpacks to.
	MaxBytes int64
}

// Open reads what an archive holds. path is a file, a directory, or "-" for stdin.
// Errors wrap gate.ErrInvalid, or gate.ErrTooLarge for a compressed archive that is
// over the limit. ctx bounds the reading.
func Open(ctx context.Context, path string, stdin io.Reader, o Options) (*Archive, error) {
	f, err := openFiles(ctx, path, stdin, o)
	if err != nil {
		return nil, err
	}
	a := &Archive{files: f, blobs: map[gate.Digest]blob{}}
	switch {
	case f.has(layoutIndex):
		err = a.readLayout()
	case f.has(dockerManifest):
		err = a.readDocker(ctx)
	case f.has("repositories"):
		err = invalid("it was saved by Docker before 1.10; save it again with a current version")
	case cutOff(f):
		err = invalid("it ends in the middle: it was cut off before %s or %s; save or download it again", dockerManifest, layoutIndex)
	default:
		err = invalid("it has neither %s nor %s, so it is neither what docker save writes nor an image layout of OCI; write one with docker save, podman save or skopeo copy", layoutIndex, dockerManifest)
	}
	if err == nil && len(a.named) == 0 {
		err = invalid("it holds no image")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return a, nil
}

func cutOff(f files) bool {
	t, ok := f.(*tarFiles)
	return ok && t.cut
}

// Close releases the archive. No transport of it may be in use.
func (a *Archive) Close() error { return a.files.Close() }

// Images are those that can be chosen.
func (a *Archive) Images() []Named { return slices.Clone(a.named) }

// Choose finds the image that a reference means, or the only one for the zero
// reference. What it is called is the reference, where one is given and the archive
// holds one image only; an image is often judged under the name that it will have.
func (a *Archive) Choose(want gate.Reference) (gate.Digest, gate.Reference, error) {
	fallback := gate.Reference{Host: "localhost", Repository: "archive", Tag: "latest"}
	given := want.Host != ""
	var found []Named
	for _, n := range a.named {
		if given && n.called(want) {
			found = append(found, n)
		}
	}
	if len(found) == 0 && len(a.named) == 1 {
		found = a.named
	}
	switch {
	case given && want.Digest != "" && (len(found) == 0 || found[0].Digest != want.Digest):
		return "", want, invalid("it does not hold %s", want.Digest.Short())
	case len(found) == 0 && given:
		return "", want, invalid("it holds no image called %s, but %s", want, a.list())
	case len(found) != 1:
		return "", want, invalid("it holds %d images; say which: %s", len(a.named), a.list())
	case given:
		return found[0].Digest, want, nil
	}
	for _, name := range found[0].Names {
		if ref, err := gate.ParseReference(name); err == nil && !tagAlone(name) {
			return found[0].Digest, ref, nil
		}
	}
	return found[0].Digest, fallback, nil
}

// called reports whether an image has the name of a reference. A tag alone is
// compared with the tag.
func (n Named) called(want gate.Reference) bool {
	if want.Digest != "" && n.Digest == want.Digest {
		return true
	}
	return slices.ContainsFunc(n.Names, func(name string) bool {
		if tagAlone(name) {
			return want.Tag == name
		}
		ref, err := gate.ParseReference(name)
		return err == nil && ref.String() == want.String()
	})
}

// tagAlone reports whether a name is no more than a tag, as skopeo and ORAS write
// it into layouts.
func tagAlone(name string) bool { return !strings.ContainsAny(name, "/:@") }

func (a *Archive) list() string {
	var names []string
	for _, n := range a.named {
		name := string(n.Digest)
		if len(n.Names) > 0 {
			name = strings.Join(n.Names, " = ")
		}
		names = append(names, gate.Printable(name, 200))
	}
	if more := len(names) - 10; more > 0 {
		names = append(names[:10], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// open returns a blob and its size; fs.ErrNotExist when the archive has none of that
// digest.
func (a *Archive) open(d gate.Digest) (io.ReadCloser, int64, error) {
	if !d.Valid() {
		return nil, 0, fs.ErrNotExist
	}
	b, ok := a.blobs[d]
	switch {
	case ok && b.bytes != nil:
		return io.NopCloser(bytes.NewReader(b.bytes)), int64(len(b.bytes)), nil
	case ok:
		return a.files.open(b.file)
	}
	return a.files.open("blobs/sha256/" + strings.TrimPrefix(string(d), "sha256:"))
}

// size is that of a blob, -1 when there is none.
func (a *Archive) size(d gate.Digest) int64 {
	r, size, err := a.open(d)
	if err != nil {
		return -1
	}
	r.Close()
	return size
}

// small reads a file of the archive that cannot be large.
func small(r io.ReadCloser, size int64, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > maxDocumentBytes {
		return nil, invalid("it has %d bytes, the limit is %d", size, maxDocumentBytes)
	}
	return io.ReadAll(io.LimitReader(r, maxDocumentBytes))
}

// invalid is an error that wraps gate.ErrInvalid and does not name it.
func invalid(format string, args ...any) error {
	return &invalidError{fmt.Sprintf(format, args...)}
}

type invalidError struct{ text string }

func (e *invalidError) Error() string { return e.text }
func (e *invalidError) Unwrap() error { return gate.ErrInvalid }

// cause is the part of a file system's error that says what is wrong.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
