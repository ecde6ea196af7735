package analyzer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// errChildGone means that the child stopped reading: no fault of the source.
var errChildGone = errors.New("the child stopped reading")

// layerSource streams one layer from the registry to a child while it hashes
// and counts what passes. It is used for one child; its methods may be called
// from several goroutines.
type layerSource struct {
	open   func(ctx context.Context) (io.ReadCloser, error)
	digest gate.Digest
	size   int64
	pulled func(n int64) // told of every piece

	mu       sync.Mutex
	started  bool
	complete bool   // all bytes passed and had the digest
	passed   int64  // bytes read of the stream, and their hash
	prefix   []byte // nil before its end
	failure  error
	waited   time.Duration // for the source
}

// copy writes the layer to w. A layer with other bytes than its digest says
// never ends normally.
func (l *layerSource) copy(ctx context.Context, w io.Writer) error {
	err := l.stream(ctx, w)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.complete = true
	case !errors.Is(err, errChildGone) && ctx.Err() == nil:
		l.failure = err
	}
	return err
}

func (l *layerSource) stream(ctx context.Context, w io.Writer) error {
	l.mu.Lock()
	l.started = true
	l.mu.Unlock()
	begin := time.Now()
	src, err := l.open(ctx)
	l.wait(time.Since(begin))
	if err != nil {
		return err
	}
	defer src.Close()
	sum := sha256.New()
	buf := make([]byte, 256<<10)
	var n int64
	defer func() { l.left(n, sum) }()
	for {
		begin := time.Now()
		k, err := src.Read(buf)
		l.wait(time.Since(begin))
		n += int64(k)
		if n > l.size {
			return fmt.Errorf("layer %s has more than the %d bytes of its descriptor: %w", l.digest.Short(), l.size, gate.ErrIntegrity)
		}
		sum.Write(buf[:k])
		if k > 0 {
			l.pulled(int64(k))
		}
		if err == io.EOF {
			// The last piece goes out only when it is known to be right.
			if err := l.check(sum, n); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		if _, werr := w.Write(buf[:k]); werr != nil {
			return errChildGone
		}
		if err == io.EOF {
			return nil
		}
	}
}

func (l *layerSource) check(sum hash.Hash, n int64) error {
	if n != l.size && hex.EncodeToString(sum.Sum(nil)) == l.digest.Hex() {
		return gate.Permanent(fmt.Errorf("the manifest gives layer %s a size of %d bytes and it has %d: %w", l.digest.Short(), l.size, n, gate.ErrIntegrity))
	}
	if n != l.size {
		return fmt.Errorf("layer %s has %d bytes where its descriptor says %d: %w", l.digest.Short(), n, l.size, gate.ErrIntegrity)
	}
	if got := gate.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))); got != l.digest {
		return fmt.Errorf("layer %s has the digest %s: %w", l.digest.Short(), got.Short(), gate.ErrIntegrity)
	}
	return nil
}

func (l *layerSource) wait(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waited += d
}

// err is the failure of the source, if that is what ended the stream.
func (l *layerSource) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// left notes how much was read, and what, when the stream ended.
func (l *layerSource) left(n int64, sum hash.Hash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passed, l.prefix = n, sum.Sum(nil)
}

// blame says whose failure it is that a child ended with err. What a child does
// with bytes says nothing about the layer before they are known to be the
// layer's: a registry may serve others, on which it crashes or which it finds too
// large. So what a child left unread is read once more, to its end: the bytes
// that it has seen must be the beginning of the whole that has the digest.
// Errors of the source come in place of err.
func (l *layerSource) blame(ctx context.Context, err error) error {
	l.mu.Lock()
	passed, prefix, known := l.passed, l.prefix, l.complete || !l.started
	l.mu.Unlock()
	if known || ctx.Err() != nil || !errors.Is(err, gate.ErrScanFailed) && !errors.Is(err, gate.ErrUnassessable) {
		return err
	}
	src, oerr := l.open(ctx)
	if oerr != nil {
		return oerr
	}
	defer src.Close()
	sum := sha256.New()
	n, rerr := io.CopyN(sum, src, passed)
	if rerr == nil && prefix != nil && !bytes.Equal(sum.Sum(nil), prefix) {
		return fmt.Errorf("layer %s is served with other bytes each time: %w", l.digest.Short(), gate.ErrIntegrity)
	}
	if rerr == nil {
		var rest int64
		rest, rerr = io.Copy(sum, io.LimitReader(src, l.size-n+1))
		n += rest
	}
	if rerr != nil && !errors.Is(rerr, io.EOF) {
		return rerr
	}
	if cerr := l.check(sum, n); cerr != nil {
		return cerr
	}
	return err
}

// verified reports whether all bytes passed and had the layer's digest.
func (l *layerSource) verified() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.complete
}

// slow reports whether the time until now went into waiting for the source
// rather than for the child.
func (l *layerSource) slow(total time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waited > total/2
}
