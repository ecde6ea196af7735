package analyzer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// result is what a child found in a layer, in a file: its JSON compressed with
// zstd, and behind it a foot of fixed length. The worker passes it on in pieces
// and never holds it in memory.
type result struct {
	path   string
	diffID gate.Digest
	size   int64 // unpacked, of the layer, bytes
	length int64 // of the JSON, bytes
}

// The foot: the name of the format, diffID, size, length, and the SHA-256 of all
// before it.
const (
	footMagic  = "\ndigestgate-layer-2\n"
	footBytes  = len(footMagic) + 71 + 20 + 20 + sha256.Size*2
	resultZstd = 1 << 20 // window: what one costs to pack and unpack is a few times that
)

// resultWriter writes one result. It is used by one goroutine at a time.
type resultWriter struct {
	file   *os.File
	sum    hash.Hash
	length int64
	taken  bool
}

func newResultWriter(dir string) (*resultWriter, error) {
	f, err := os.CreateTemp(dir, "result-")
	if err != nil {
		return nil, fmt.Errorf("making a file for a layer's result: %w: %w", err, gate.ErrResource)
	}
	return &resultWriter{file: f, sum: sha256.New()}, nil
}

// Write writes packed bytes.
func (w *resultWriter) Write(p []byte) (int, error) {
	w.sum.Write(p)
	n, err := w.file.Write(p)
	if err != nil {
		err = &localError{err}
	}
	return n, err
}

// localError tells a failure of this side's disk from one of the child.
type localError struct{ error }

// take writes down what a child sends. local is an error of this side.
func (w *resultWriter) take(body io.Reader) (local, err error) {
	enc, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(resultZstd), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return err, nil
	}
	w.length, err = io.Copy(enc, io.LimitReader(body, protocol.MaxResultBytes+1))
	err = errors.Join(err, enc.Close())
	var disk *localError
	switch {
	case errors.As(err, &disk):
		return fmt.Errorf("writing a layer's result: %w: %w", disk.error, gate.ErrResource), nil
	case err != nil:
		return nil, fmt.Errorf("its result broke off: %w", err)
	case w.length > protocol.MaxResultBytes:
		return nil, fmt.Errorf("its result has more than %s", gate.ByteSize(protocol.MaxResultBytes))
	}
	w.taken = true
	return nil, nil
}

// finish writes the foot. Without it the file is not a result.
func (w *resultWriter) finish(diffID gate.Digest, size int64) (*result, error) {
	_, err := fmt.Fprintf(w, "%s%-71s%020d%020d", footMagic, diffID, size, w.length)
	if err == nil {
		_, err = io.WriteString(w.file, hex.EncodeToString(w.sum.Sum(nil)))
	}
	if err = errors.Join(err, w.file.Close()); err != nil {
		return nil, fmt.Errorf("writing a layer's result: %w: %w", err, gate.ErrResource)
	}
	return &result{path: w.file.Name(), diffID: diffID, size: size, length: w.length}, nil
}

// openResult reads the foot of a file and checks all of it.
func openResult(path string) (*result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	foot := make([]byte, footBytes)
	if _, err := f.ReadAt(foot, max(info.Size()-int64(footBytes), 0)); err != nil {
		return nil, errors.New("it has no foot")
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, info.Size()-sha256.Size*2)); err != nil {
		return nil, err
	}
	text := string(foot)
	rest, ok := strings.CutPrefix(text, footMagic)
	if !ok || !strings.HasSuffix(text, hex.EncodeToString(sum.Sum(nil))) {
		return nil, errors.New("its checksum does not match")
	}
	r := &result{path: path, diffID: gate.Digest(strings.TrimSpace(rest[:71]))}
	size, errSize := strconv.ParseInt(rest[71:91], 10, 64)
	length, errLength := strconv.ParseInt(rest[91:111], 10, 64)
	r.size, r.length = size, length
	return r, errors.Join(errSize, errLength)
}

// copyTo unpacks the JSON into w.
func (r *result) copyTo(w io.Writer) error {
	f, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	dec, err := zstd.NewReader(io.LimitReader(f, info.Size()-int64(footBytes)), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return err
	}
	defer dec.Close()
	n, err := io.Copy(w, dec)
	if err == nil && n != r.length {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// link gives a file a second name, or copies it where that is not possible.
func link(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
