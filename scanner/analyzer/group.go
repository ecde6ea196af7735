package analyzer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/registry"
)

// smallLayer is the size in bytes, compressed, below which layers that follow each other
// share a child: starting one costs as much as the analysis of about as many bytes.
const smallLayer = 1 << 20

// group are layers of an image that one child reads: one, or several small ones that
// follow each other. It is never split and its results are never used in part, so that
// what is known of a layer depends on nothing but the bytes that the child saw, all of
// which name it in the cache.
type group struct {
	first, end int              // the layers of the image, end is not one of them
	layers     []registry.Layer // each once, in the image's order
}

// groups divides an image into them.
func groups(layers []registry.Layer) (list []group) {
	for i := 0; i < len(layers); {
		g := group{first: i, end: i + 1}
		for small(layers[i]) && g.end < len(layers) && small(layers[g.end]) {
			g.end++
		}
		for _, l := range layers[g.first:g.end] {
			if !slices.ContainsFunc(g.layers, func(x registry.Layer) bool { return x.Digest == l.Digest }) {
				g.layers = append(g.layers, l)
			}
		}
		list, i = append(list, g), g.end
	}
	return list
}

func small(l registry.Layer) bool { return l.Size < smallLayer }

// digests are those of layers, in their order.
func digests(layers []registry.Layer) []gate.Digest {
	out := make([]gate.Digest, len(layers))
	for i, l := range layers {
		out[i] = l.Digest
	}
	return out
}

// reading is the work of one child that reads layers.
type reading struct {
	layers []registry.Layer
	wanted [][]protocol.Wanted // of each layer; nil: all of all
	limits []int64             // of each layer: bytes that it may unpack to
	total  int64               // bytes that all may unpack to together
}

// groupMagic is the name of the format of a file with the results of a group: an
// archive of the results, each under its layer's digest, in the order in which the child
// saw them.
const groupMagic = "digestgate-group-1"

// packResults makes the file in which results are kept, beside the first of them. That
// of a single layer is its result.
func packResults(results []*result, layers []gate.Digest) (path string, err error) {
	if len(results) == 1 {
		return results[0].path, nil
	}
	f, err := os.CreateTemp(filepath.Dir(results[0].path), "group-")
	if err != nil {
		return "", err
	}
	w := tar.NewWriter(f)
	for i, r := range results {
		if err = packResult(w, r.path, layers[i]); err != nil {
			break
		}
	}
	return f.Name(), errors.Join(err, w.Close(), f.Close())
}

func packResult(w *tar.Writer, path string, layer gate.Digest) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: layer.Hex(), Mode: 0o600, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}

// openResults reads what packResults made: all results, in their order, or none.
func openResults(path string, layers []gate.Digest) ([]*result, error) {
	if len(layers) == 1 {
		r, err := openResult(path)
		return []*result{r}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	archive := tar.NewReader(f)
	results := make([]*result, len(layers))
	for i, layer := range layers {
		header, err := archive.Next()
		if err == nil && header.Name != layer.Hex() {
			err = errors.New("it has the results of other layers")
		}
		if err == nil {
			results[i], err = unpackResult(archive, fmt.Sprintf("%s-%d", path, i))
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := archive.Next(); err != io.EOF {
		return nil, errors.New("it has more than the results of its layers")
	}
	return results, nil
}

func unpackResult(from io.Reader, path string) (*result, error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(out, from)
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, err
	}
	return openResult(path)
}
