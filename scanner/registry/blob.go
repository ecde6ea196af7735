package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// maxResumes bounds how often one transfer continues after a break without having
	// moved resumeProgress bytes in between. A flaky line thus finishes a large layer,
	// and a registry that breaks every time ends.
	maxResumes     = 5
	resumeProgress = 16 << 20
)

// blob is one verified stream. It is used by one goroutine.
type blob struct {
	s      *session
	ctx    context.Context
	cancel context.CancelFunc
	repo   string
	digest gate.Digest
	size   int64

	unhashed bool  // the caller hashes; see BlobFrom
	offset   int64 // bytes delivered and hashed
	hash     hash.Hash
	body     *watchedBody // nil between two transfers
	resumes  int
	resumed  int64 // offset of the last resumption
	kind     bodyKind
	host     string // that serves the present body
	end      error  // what every further Read returns
}

// openBlob starts the transfer, so that a blob that does not exist is known
// before the first Read.
func (s *session) openBlob(ctx context.Context, kind bodyKind, repo string, digest gate.Digest, size int64) (*blob, error) {
	ctx, cancel := context.WithCancel(ctx)
	b := s.newBlob(ctx, cancel, kind, repo, digest, size)
	if err := b.open(); err != nil {
		cancel()
		return nil, err
	}
	return b, nil
}

func (s *session) newBlob(ctx context.Context, cancel context.CancelFunc, kind bodyKind, repo string, digest gate.Digest, size int64) *blob {
	return &blob{s: s, ctx: ctx, cancel: cancel, kind: kind, repo: repo, digest: digest, size: size, hash: sha256.New()}
}

// open requests the blob from offset on.
func (b *blob) open() error {
	return b.s.retry(b.ctx, func() error {
		if err := b.s.pauses.check(b.kind.of(b.s.origin)); err != nil {
			return err
		}
		ctx, cancel := context.WithCancelCause(b.ctx)
		limit := time.AfterFunc(b.s.wait.small, func() { cancel(errSlow) })
		defer limit.Stop()
		header := http.Header{"Accept": {"*/*"}}
		wanted := []int{http.StatusOK}
		if b.offset > 0 {
			header.Set("Range", fmt.Sprintf("bytes=%d-%d", b.offset, b.size-1))
			wanted = append(wanted, http.StatusPartialContent)
		}
		res, err := b.s.send(ctx, &call{repo: b.repo, image: true, digested: true}, http.MethodGet, "blobs/"+string(b.digest), header, wanted...)
		if err != nil {
			cancel(nil)
			return err
		}
		b.body, b.host = newWatchedBody(res.Body, cancel, b.s.wait), urlEndpoint(res.Request.URL)
		err = b.s.pauses.check(b.kind.of(b.host))
		if err == nil {
			err = b.align(res)
		}
		if err != nil {
			b.closeBody()
			return err
		}
		return nil
	})
}

// align makes the body stand at offset and checks that it is as long as it
// should be.
func (b *blob) align(res *http.Response) error {
	want := b.size
	if res.StatusCode == http.StatusPartialContent {
		var start int64
		if _, err := fmt.Sscanf(res.Header.Get("Content-Range"), "bytes %d-", &start); err != nil || start != b.offset {
			return fmt.Errorf("the registry answered another range than asked for: %w", gate.ErrRegistryUnavailable)
		}
		want -= b.offset
	}
	if res.ContentLength >= 0 && res.ContentLength != want {
		if res.StatusCode == http.StatusOK && b.offset == 0 {
			return b.wrongSize()
		}
		return fmt.Errorf("it has %d bytes where its descriptor says %d: %w", b.size-want+res.ContentLength, b.size, gate.ErrIntegrity)
	}
	if res.StatusCode == http.StatusOK && b.offset > 0 {
		// The server ignores ranges: read again what was delivered already.
		// What counts is hashed, so a changed beginning does no harm.
		if _, err := io.CopyN(io.Discard, b.body, b.offset); err != nil {
			return err
		}
	}
	return nil
}

// Read implements io.Reader. The last bytes are returned before the hash is
// judged: io.EOF is the only proof that the content is the wanted one.
func (b *blob) Read(p []byte) (int, error) {
	if b.end != nil {
		return 0, b.end
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := b.body.Read(p)
		if !b.unhashed {
			b.hash.Write(p[:n])
		}
		if b.offset+int64(n) > b.size {
			b.offset += int64(n)
			return 0, b.stop(b.wrongSize())
		}
		b.offset += int64(n)
		switch {
		case err == nil && n > 0:
			return n, nil
		case err == nil:
			continue
		case errors.Is(err, io.EOF) && b.offset == b.size:
			if err := b.verify(); err != nil {
				return n, b.stop(err)
			}
			b.s.pauses.body(b.kind, b.host, true)
			return n, b.stop(io.EOF)
		case errors.Is(err, io.EOF) && !b.unhashed && b.verify() == nil:
			return n, b.stop(b.wrongSize()) // it ends where it should not, and is whole
		}
		if err := b.resume(err); err != nil {
			return n, b.stop(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// maxOverrun is how far a layer is read beyond its descriptor's size to learn whose
// fault that is. Of a configuration it is no more than one may have: reviews read
// these, and who names a long one short would have each of them read all of it.
const maxOverrun = 1 << 30

func (k bodyKind) overrun() int64 {
	if k == layerBody {
		return maxOverrun
	}
	return MaxConfigBytes
}

// wrongSize is the error of a blob with another size than its descriptor says. If
// its bytes have the digest, the manifest is wrong, which nothing will mend;
// otherwise the registry serves something else.
func (b *blob) wrongSize() error {
	if b.unhashed {
		return fmt.Errorf("the registry serves another size than the %d bytes of the descriptor: %w", b.size, gate.ErrIntegrity)
	}
	n, err := io.Copy(b.hash, io.LimitReader(b.body, b.kind.overrun()))
	b.offset += n
	if err == nil && b.verify() == nil {
		return gate.Permanent(fmt.Errorf("the manifest gives it a size of %d bytes and it has %d; no runtime accepts that, build and push the image again: %w",
			b.size, b.offset, gate.ErrIntegrity))
	}
	return fmt.Errorf("the registry serves another size than the %d bytes of the descriptor: %w", b.size, gate.ErrIntegrity)
}

func (b *blob) verify() error {
	if b.unhashed {
		return nil
	}
	if got := "sha256:" + hex.EncodeToString(b.hash.Sum(nil)); got != string(b.digest) {
		return fmt.Errorf("its content has digest %s: %w", got, gate.ErrIntegrity)
	}
	return nil
}

// resume opens the rest of a broken transfer.
func (b *blob) resume(cause error) error {
	b.closeBody()
	if b.ctx.Err() != nil {
		return contextError(b.ctx)
	}
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF
	}
	if errors.Is(cause, errStalled) {
		// It would cost the slot as long again; others wait for that.
		b.s.pauses.body(b.kind, b.host, false)
		return fmt.Errorf("it stopped arriving after %d of %d bytes: %s: %w", b.offset, b.size, advice(cause), gate.ErrRegistryUnavailable)
	}
	if b.offset-b.resumed >= resumeProgress {
		b.resumes = 0
	}
	if b.resumes >= maxResumes {
		return fmt.Errorf("broken again and again, last after %d of %d bytes: %s: %w", b.offset, b.size, advice(cause), gate.ErrRegistryUnavailable)
	}
	if sleep(b.ctx, pauseBefore(min(b.resumes, 4), b.s.wait.backoff, rand.Float64())) != nil {
		return contextError(b.ctx)
	}
	b.resumes++
	if isTimeout(cause) {
		b.resumes++ // each costs a whole window
	}
	b.resumed = b.offset
	return b.open()
}

// stop ends the stream with err, worded with what was read.
func (b *blob) stop(err error) error {
	b.closeBody()
	if !errors.Is(err, io.EOF) {
		err = fmt.Errorf("reading blob %q: %w", b.digest, err)
	}
	b.end = err
	return err
}

func (b *blob) closeBody() {
	if b.body != nil {
		b.body.Close()
		b.body = nil
	}
}

// Close ends the transfer. A Read after it fails with gate.ErrInvalid.
func (b *blob) Close() error {
	b.closeBody()
	b.cancel()
	if b.end == nil {
		b.end = fmt.Errorf("reading blob %q after closing it: %w", b.digest, gate.ErrInvalid)
	}
	return nil
}

// watchedBody fails a transfer that stands still or crawls. Only time spent
// waiting for the network counts, so that a slow reader is not the registry's
// fault.
type watchedBody struct {
	body   io.ReadCloser
	cancel context.CancelCauseFunc
	wait   timeouts
	waited time.Duration // in the present window
	moved  int64
}

func newWatchedBody(body io.ReadCloser, cancel context.CancelCauseFunc, wait timeouts) *watchedBody {
	return &watchedBody{body: body, cancel: cancel, wait: wait}
}

func (w *watchedBody) Read(p []byte) (int, error) {
	timer := time.AfterFunc(w.wait.idle, func() { w.cancel(errSlow) })
	start := time.Now()
	n, err := w.body.Read(p)
	w.waited += time.Since(start)
	if !timer.Stop() && err != nil {
		return n, fmt.Errorf("no byte for %s: %w", w.wait.idle, errStalled)
	}
	w.moved += int64(n)
	if w.waited >= w.wait.window {
		if rate := float64(w.moved) / w.waited.Seconds(); rate < float64(w.wait.minRate) && err == nil {
			w.cancel(errSlow)
			return n, fmt.Errorf("%.0f bytes a second: %w", rate, errSlow)
		}
		w.waited, w.moved = 0, 0
	}
	return n, err
}

func (w *watchedBody) Close() {
	w.cancel(nil)
	_ = w.body.Close()
}

// checkBlob refuses what cannot be a descriptor.
func checkBlob(digest gate.Digest, size int64) error {
	if !digest.Valid() {
		return fmt.Errorf("blob %s: %w", gate.Quoted(string(digest), 100), gate.ErrDigestInvalid)
	}
	if size < 0 {
		return fmt.Errorf("blob %q of %d bytes: %w", digest, size, gate.ErrInvalid)
	}
	return nil
}
