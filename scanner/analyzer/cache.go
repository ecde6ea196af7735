package analyzer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// cache keeps what children said about layers, in files below dataDir:
// layers/<hash of the analyser set and of what was wanted>/<digest>. A file starts with a line that
// names the format and the SHA-256 of what follows, zstd-compressed; one that
// does not fit its line reads as absent and is removed. The oldest use goes
// first when the cache is full. It is safe for concurrent use by goroutines, and
// harmless for two processes: files appear complete or not at all.
type cache struct {
	dir string
	max int64
	now func() time.Time
	log *slog.Logger
	enc *zstd.Encoder
	dec *zstd.Decoder

	mu      sync.Mutex
	entries map[string]*entry // by path relative to dir
	total   int64
	busy    map[string]chan struct{} // layers being analysed
}

type entry struct {
	size int64
	used time.Time
}

const cacheMagic = "digestgate-layer-1 "

// openCache reads which entries there are. max 0 keeps nothing.
func openCache(dir string, max int64, now func() time.Time, log *slog.Logger) (*cache, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	// A stored result is at most as large as a child may send.
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(protocol.MaxResultBytes+1))
	if err != nil {
		return nil, err
	}
	c := &cache{dir: dir, max: max, now: now, log: log, enc: enc, dec: dec, entries: map[string]*entry{}, busy: map[string]chan struct{}{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the layer cache: %w: %w", err, gate.ErrResource)
	}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // another process removed it
		}
		if strings.HasPrefix(d.Name(), "tmp-") {
			_ = os.Remove(p) // left by a killed process
			return nil
		}
		rel, _ := filepath.Rel(dir, p)
		c.entries[rel] = &entry{info.Size(), info.ModTime()}
		c.total += info.Size()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the layer cache: %w: %w", err, gate.ErrResource)
	}
	c.mu.Lock()
	c.evict()
	c.mu.Unlock()
	return c, nil
}

// cacheName depends on the analysers, on the layer, and on which of its entries
// were read under which names (none: all under their own).
func cacheName(set string, d gate.Digest, wanted []protocol.Wanted) string {
	if len(wanted) > 0 {
		raw, _ := json.Marshal(wanted)
		set += "\x00" + string(raw)
	}
	sum := sha256.Sum256([]byte(set))
	return filepath.Join(hex.EncodeToString(sum[:8]), d.Hex())
}

// get finds the result of a layer. Whatever is wrong with an entry makes it
// absent.
func (c *cache) get(set string, d gate.Digest, wanted []protocol.Wanted) ([]byte, bool) {
	name := cacheName(set, d, wanted)
	file := filepath.Join(c.dir, name)
	raw, err := os.ReadFile(file)
	if err != nil {
		c.forget(name)
		return nil, false
	}
	payload, err := c.unpack(raw)
	if err != nil {
		c.log.Warn("removing a damaged entry of the layer cache", "layer", string(d), "error", err)
		_ = os.Remove(file)
		c.forget(name)
		return nil, false
	}
	now := c.now()
	_ = os.Chtimes(file, now, now)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remember(name, int64(len(raw)), now)
	return payload, true
}

func (c *cache) unpack(raw []byte) ([]byte, error) {
	line, body, ok := bytes.Cut(raw, []byte("\n"))
	sum, magic := bytes.CutPrefix(line, []byte(cacheMagic))
	if !ok || !magic {
		return nil, errors.New("it has no header")
	}
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != string(sum) {
		return nil, errors.New("its checksum does not match")
	}
	return c.dec.DecodeAll(body, nil)
}

// put stores the result of a layer. The cache is an economy: a failure is
// logged and nothing is lost.
func (c *cache) put(set string, d gate.Digest, wanted []protocol.Wanted, payload []byte) {
	if c.max <= 0 {
		return
	}
	body := c.enc.EncodeAll(payload, nil)
	sum := sha256.Sum256(body)
	raw := append([]byte(cacheMagic+hex.EncodeToString(sum[:])+"\n"), body...)
	name := cacheName(set, d, wanted)
	if err := writeFile(filepath.Join(c.dir, name), raw); err != nil {
		c.log.Warn("a layer's result is not kept", "layer", string(d), "error", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remember(name, int64(len(raw)), c.now())
	c.evict()
}

// writeFile makes the file appear with all its content.
func writeFile(file string, raw []byte) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "tmp-")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func (c *cache) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[name]; e != nil {
		c.total -= e.size
		delete(c.entries, name)
	}
}

// remember is called with mu held.
func (c *cache) remember(name string, size int64, used time.Time) {
	if e := c.entries[name]; e != nil {
		c.total -= e.size
	}
	c.entries[name] = &entry{size, used}
	c.total += size
}

// evict removes the least recently used entries down to nine tenths of the
// limit, so that a full cache is not sorted at every layer. It is called with
// mu held.
func (c *cache) evict() {
	if c.total <= c.max {
		return
	}
	names := make([]string, 0, len(c.entries))
	for n := range c.entries {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(c.entries[a].used.Compare(c.entries[b].used), strings.Compare(a, b))
	})
	for _, n := range names {
		if c.total <= c.max/10*9 {
			return
		}
		if err := os.Remove(filepath.Join(c.dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("an entry of the layer cache cannot be removed", "error", err)
		}
		c.total -= c.entries[n].size
		delete(c.entries, n)
	}
}

// claim gives the right to analyse a layer to one caller at a time. The others
// wait; when they get it they should look into the cache again. release must be
// called once. The error is that of ctx.
func (c *cache) claim(ctx context.Context, set string, d gate.Digest, wanted []protocol.Wanted) (release func(), err error) {
	name := cacheName(set, d, wanted)
	for {
		c.mu.Lock()
		other := c.busy[name]
		if other == nil {
			mine := make(chan struct{})
			c.busy[name] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.busy, name)
				c.mu.Unlock()
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
