//go:build goexperiment.jsonv2

package child

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
)

// analyzeLayers reads the layers of this process, one after the other, and says what
// is in each. It returns their heads.
func analyzeLayers(ctx context.Context, p *parent, unit protocol.Unit) ([]protocol.Layer, error) {
	var heads []protocol.Layer
	t := &tools{}
	left := unit.Limits.UncompressedBytes
	for i, read := range unit.Reads {
		if left > 0 && (read.UncompressedBytes <= 0 || left < read.UncompressedBytes) {
			read.UncompressedBytes = left
		}
		layer, err := analyzeLayer(ctx, t, p, i, unit, read)
		if err == nil {
			err = p.found(i, layer)
		}
		if err != nil {
			return nil, err
		}
		if left > 0 {
			left = max(left-layer.Size, 1)
		}
		heads = append(heads, protocol.Layer{DiffID: layer.DiffID, Size: layer.Size})
	}
	return heads, nil
}

func analyzeLayer(ctx context.Context, t *tools, p *parent, i int, unit protocol.Unit, read protocol.Read) (*protocol.Layer, error) {
	body, err := p.layer(i)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	layer, err := readLayer(ctx, t, body, unit, read)
	// The rest is read in any case: only a layer seen to its end has a digest
	// that the worker can check, and that check comes before ours.
	if _, drainErr := io.Copy(io.Discard, body); err == nil && drainErr != nil {
		err = fmt.Errorf("reading the layer: %w", drainErr)
	}
	if err != nil {
		return nil, err
	}
	return layer, nil
}

func readLayer(ctx context.Context, t *tools, compressed io.Reader, unit protocol.Unit, read protocol.Read) (*protocol.Layer, error) {
	stream, err := newLayerStream(compressed, read.UncompressedBytes)
	if err != nil {
		return nil, err
	}
	defer stream.close()
	w, err := newWalk(t, unit, read)
	if err != nil {
		return nil, err
	}
	defer w.close()
	unpacked := newAhead(stream)
	defer unpacked.close()
	if err := w.run(ctx, unpacked); err != nil {
		return nil, err
	}
	// What follows the archive belongs to the layer's digest.
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return nil, err
	}
	layer := &protocol.Layer{DiffID: stream.diffID(), Size: stream.size, Problem: w.problem}
	if len(read.Wanted) == 0 {
		layer.Index = rootfs.AppendIndex(nil, w.index)
	}
	for _, p := range w.parts {
		part, err := p.finish(ctx)
		if err != nil {
			return nil, err
		}
		layer.Parts = append(layer.Parts, part)
	}
	return layer, nil
}

// maxReadings is how often one name is read in a layer before somebody asks for
// it. Nothing but an archive that was appended to needs two.
const maxReadings = 4

// walk reads the archive's headers and hands regular files on.
type walk struct {
	tools   *tools
	unit    protocol.Unit
	spool   *spool
	parts   []*part
	index   []rootfs.Entry
	problem string // the first
	times   map[string]int
	wanted  map[int][]protocol.Wanted // by entry
}

func newWalk(t *tools, unit protocol.Unit, read protocol.Read) (*walk, error) {
	w := &walk{tools: t, unit: unit, times: map[string]int{},
		spool: &spool{maxFile: unit.Limits.FileBytes, maxTemp: unit.Limits.TempBytes}}
	if len(read.Wanted) > 0 {
		w.wanted = map[int][]protocol.Wanted{}
		for _, x := range read.Wanted {
			w.wanted[x.Entry] = append(w.wanted[x.Entry], x)
		}
	}
	_, err := w.part(0)
	return w, err
}

// close removes the temporary files of the layer.
func (w *walk) close() {
	for _, p := range w.parts {
		p.files.close()
	}
}

// part is where the reading number k of a name belongs.
func (w *walk) part(k int) (*part, error) {
	for len(w.parts) <= k {
		p, err := newPart(w.tools, w.spool, w.unit)
		if err != nil {
			return nil, err
		}
		w.parts = append(w.parts, p)
	}
	return w.parts[k], nil
}

func (w *walk) run(ctx context.Context, stream io.Reader) error {
	defer func() {
		for _, p := range w.parts {
			p.files.wait()
		}
	}()
	archive := tar.NewReader(stream)
	for number := 0; ; number++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var known *failed
		if errors.As(err, &known) {
			return err
		}
		if err != nil {
			return corrupt("the layer is not a valid archive: %w", err)
		}
		if number >= rootfs.MaxEntries {
			return tooLarge("the layer has more than %d entries", rootfs.MaxEntries)
		}
		entry, problem := rootfs.NewEntry(header)
		if w.problem == "" {
			w.problem = problem
		}
		if w.wanted == nil {
			w.index = append(w.index, entry)
			err = w.file(ctx, archive, header, entry)
		} else if entry.Kind == rootfs.File {
			err = w.again(ctx, archive, header, w.wanted[number])
		}
		if err != nil {
			return err
		}
	}
}

// file gives a regular file to the analysers under its own name. Links have no
// content of their own; under which names content is seen is the merge's
// business, which may ask for it again.
func (w *walk) file(ctx context.Context, archive io.Reader, header *tar.Header, entry rootfs.Entry) error {
	name, ok := ownName(entry)
	if !ok {
		return nil
	}
	k := w.times[name]
	w.times[name]++
	if k > 0 && (k >= maxReadings || !w.parts[0].files.wants(name, header.FileInfo())) {
		return nil
	}
	p, err := w.part(k)
	if err != nil {
		return err
	}
	return p.files.file(ctx, name, header.FileInfo(), archive)
}

// ownName is the name under which an entry's content is read at first; ok is
// false for an entry that has none.
func ownName(e rootfs.Entry) (name string, ok bool) {
	name = rootfs.Clean(e.Name)
	return name, e.Kind == rootfs.File && name != "" && !rootfs.IsWhiteout(name)
}

// again gives a regular file to the analysers under the names that are wanted.
func (w *walk) again(ctx context.Context, archive io.Reader, header *tar.Header, wanted []protocol.Wanted) error {
	if len(wanted) == 0 {
		return nil
	}
	kept, err := w.spool.keep(archive, header.Size)
	if errors.Is(err, errOverLimit) {
		kept, err = nil, nil // each reader says so itself
	}
	if err != nil {
		return err
	}
	if kept != nil {
		defer kept.drop()
	}
	for _, x := range wanted {
		name := string(x.Name)
		k := w.times[name]
		w.times[name]++
		p, err := w.part(k)
		if err != nil {
			return err
		}
		h := *header
		h.Name, h.Mode = path.Base(name), int64(x.Mode)
		var content io.Reader = archive
		if kept != nil {
			r, err := kept.open()
			if err != nil {
				return err
			}
			defer r.Close()
			content = r
		}
		if err := p.files.file(ctx, name, h.FileInfo(), content); err != nil {
			return err
		}
	}
	return nil
}
