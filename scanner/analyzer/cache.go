package analyzer

import (
	"cmp"
	"context"
	"crypto/rand"
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

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// cache keeps what children said about layers, in files below dataDir:
// layers/<hash of the analyser set and of what was wanted>/<digest>, or of several
// layers that one child saw <hash of all their digests>. A file is a result, or an
// archive of results; one that does not fit its foot reads as absent and is removed. The
// oldest use goes first when the cache is full. It is safe for concurrent use by goroutines, and
// harmless for two processes: files appear complete or not at all.
type cache struct {
	dir string
	max int64
	now func() time.Time
	log *slog.Logger

	mu      sync.Mutex
	entries map[string]*entry // by path relative to dir
	total   int64
	busy    map[string]chan struct{} // layers being analysed
}

type entry struct {
	size int64
	used time.Time
}

// maxCached bounds the number of entries, each of which takes about 300 bytes of
// memory: results of empty layers are so small that max alone would allow millions.
const maxCached = 100_000

// crowded reports whether more than nine tenths of a limit are used; it is called
// with mu held.
func (c *cache) crowded() bool {
	return c.total > c.max/10*9 || len(c.entries) > maxCached/10*9
}

// openCache reads which entries there are. max 0 keeps nothing.
func openCache(dir string, max int64, now func() time.Time, log *slog.Logger) (*cache, error) {
	c := &cache{dir: dir, max: max, now: now, log: log, entries: map[string]*entry{}, busy: map[string]chan struct{}{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the layer cache: %w: %w", err, gate.ErrResource)
	}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
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

// cacheName depends on everything that the child saw: the analysers, the layers in
// their order, and which entries of each were read under which names (none: all under
// their own). What a child found in several layers is never the answer for one of them.
func cacheName(set string, layers []gate.Digest, wanted [][]protocol.Wanted) string {
	set += "\x00" + footMagic // one of another format is never looked at
	if len(layers) > 1 {
		set += "\x00" + groupMagic
	}
	if wanted != nil {
		var names any = wanted
		if len(layers) == 1 {
			names = wanted[0]
		}
		raw, _ := json.Marshal(names)
		set += "\x00" + string(raw)
	}
	sum := sha256.Sum256([]byte(set))
	if len(layers) == 1 {
		return filepath.Join(hex.EncodeToString(sum[:8]), layers[0].Hex())
	}
	all := sha256.New()
	for _, d := range layers {
		fmt.Fprintln(all, d)
	}
	return filepath.Join(hex.EncodeToString(sum[:8]), hex.EncodeToString(all.Sum(nil)))
}

// get finds the results of layers that one child saw and gives them names in the
// directory to, where they stay when they leave the cache. Whatever is wrong with an
// entry makes it absent.
func (c *cache) get(set string, layers []gate.Digest, wanted [][]protocol.Wanted, to string) ([]*result, bool) {
	name := cacheName(set, layers, wanted)
	file, own := filepath.Join(c.dir, name), filepath.Join(to, "cached-"+rand.Text())
	if err := link(file, own); err != nil {
		c.forget(name)
		return nil, false
	}
	results, err := openResults(own, layers)
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(own)
	}
	if err != nil {
		c.log.Warn("removing a damaged entry of the layer cache", "layer", string(layers[0]), "error", err)
		_ = os.Remove(file)
		_ = os.Remove(own)
		c.forget(name)
		return nil, false
	}
	now := c.now()
	_ = os.Chtimes(file, now, now)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remember(name, info.Size(), now)
	return results, true
}

// put stores the results of layers that one child saw. The cache is an economy: a
// failure is logged and nothing is lost.
func (c *cache) put(set string, layers []gate.Digest, wanted [][]protocol.Wanted, results []*result) {
	if c.max <= 0 {
		return
	}
	name := cacheName(set, layers, wanted)
	path, err := packResults(results, layers)
	var size int64
	if err == nil {
		size, err = appear(path, filepath.Join(c.dir, name))
	}
	if err != nil {
		c.log.Warn("a layer's result is not kept", "layer", string(layers[0]), "error", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remember(name, size, c.now())
	c.evict()
}

// appear makes the file appear with all the content of another.
func appear(from, file string) (size int64, err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	tmp := filepath.Join(dir, "tmp-"+rand.Text())
	err = link(from, tmp)
	if err == nil {
		err = os.Rename(tmp, file)
	}
	_ = os.Remove(tmp) // what is left of a failure, or when both names are of one file
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
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
	if c.total <= c.max && len(c.entries) <= maxCached {
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
		if !c.crowded() {
			return
		}
		if err := os.Remove(filepath.Join(c.dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("an entry of the layer cache cannot be removed", "error", err)
		}
		c.total -= c.entries[n].size
		delete(c.entries, n)
	}
}

// claim gives the right to analyse layers to one caller at a time. The others
// wait; when they get it they should look into the cache again. release must be
// called once. The error is that of ctx.
func (c *cache) claim(ctx context.Context, set string, layers []gate.Digest, wanted [][]protocol.Wanted) (release func(), err error) {
	name := cacheName(set, layers, wanted)
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
