package advisory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/alias"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// maxSourceBytes bounds one source file. The largest known is Debian's tracker
// with about 70 MB.
const maxSourceBytes = 512 << 20

// collection is everything read from the sources, in memory: the whole Go
// vulnerability database takes some 20 MB.
type collection struct {
	buckets map[string]*bucketData
	// details are records of a vulnerability by the source they come from.
	details map[string]map[types.SourceID]types.VulnerabilityDetail
	// aliases are the CVEs that other identifiers stand for.
	aliases map[string][]string
	files   int
	skipped map[string]int
	leftOut map[string]*LeftOut
	feeds   map[string]*feed // by directory
	ages    ages
}

// bucketData is one root bucket.
type bucketData struct {
	source types.DataSource
	// packages is package name, vulnerability, advisory.
	packages map[string]map[string]types.Advisory
	// said is what vendors' advisories say, by the same keys, until all of them are read.
	said map[string]map[string][]said

	kinds   map[string]bool // formats of its sources
	newest  time.Time       // advisory
	unfixed bool            // a source tells of flaws without a fix
	gaps    int             // statements that could not be understood
}

func newCollection(now time.Time) *collection {
	return &collection{
		buckets: map[string]*bucketData{},
		details: map[string]map[types.SourceID]types.VulnerabilityDetail{},
		skipped: map[string]int{},
		leftOut: map[string]*LeftOut{},
		aliases: map[string][]string{},
		feeds:   map[string]*feed{},
		ages:    ages{now: now, newest: map[string]time.Time{}},
	}
}

// bucket returns the bucket with the name, made if need be. A release without
// any advisory still gets its bucket: its absence means "unknown release".
func (c *collection) bucket(name string, source types.DataSource) *bucketData {
	b, ok := c.buckets[name]
	if !ok {
		b = &bucketData{source: source, packages: map[string]map[string]types.Advisory{}}
		c.buckets[name] = b
	}
	return b
}

// put stores an advisory; merge decides when there is one already.
func (b *bucketData) put(pkg, id string, adv types.Advisory, merge func(old, adv types.Advisory) types.Advisory) {
	advs, ok := b.packages[pkg]
	if !ok {
		advs = map[string]types.Advisory{}
		b.packages[pkg] = advs
	}
	if old, ok := advs[id]; ok {
		adv = merge(old, adv)
	}
	if adv.FixedVersion == "" && adv.Status != 0 {
		b.unfixed = true
	}
	advs[id] = adv
}

// detail adds what one source says of a vulnerability. Where two entries of a
// source speak of the same one, the graver severity and the first text win.
func (c *collection) detail(id string, source types.SourceID, d types.VulnerabilityDetail) {
	bySource, ok := c.details[id]
	if !ok {
		bySource = map[types.SourceID]types.VulnerabilityDetail{}
		c.details[id] = bySource
	}
	old, ok := bySource[source]
	if !ok {
		bySource[source] = d
		return
	}
	if old.Title == "" {
		old.Title = d.Title
	}
	if old.Description == "" {
		old.Description = d.Description
	}
	old.Severity = max(old.Severity, d.Severity)
	if d.CvssScoreV3 > old.CvssScoreV3 {
		old.CvssScoreV3, old.CvssVectorV3 = d.CvssScoreV3, d.CvssVectorV3
	}
	if d.CvssScoreV40 > old.CvssScoreV40 {
		old.CvssScoreV40, old.CvssVectorV40 = d.CvssScoreV40, d.CvssVectorV40
	}
	for _, r := range d.References {
		if !slices.Contains(old.References, r) {
			old.References = append(old.References, r)
		}
	}
	if old.PublishedDate == nil || d.PublishedDate != nil && d.PublishedDate.Before(*old.PublishedDate) {
		old.PublishedDate = d.PublishedDate
	}
	if old.LastModifiedDate == nil || d.LastModifiedDate != nil && d.LastModifiedDate.After(*old.LastModifiedDate) {
		old.LastModifiedDate = d.LastModifiedDate
	}
	bySource[source] = old
}

// alias notes of identifiers which CVEs they stand for; ids that are no CVEs are not noted.
func (c *collection) alias(ids []string, others ...string) {
	for _, other := range others {
		if alias.IsCVE(other) || !idPattern.MatchString(other) {
			continue
		}
		for _, id := range ids {
			if alias.IsCVE(id) && len(c.aliases[other]) < alias.Most {
				c.aliases[other] = append(c.aliases[other], id)
			}
		}
	}
}

// readAll reads every source file in lexical order.
func (c *collection) readAll(ctx context.Context, from fs.FS) error {
	return fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading advisory sources: %w: %w", err, gate.ErrInvalid)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("reading advisory sources: %w: %w", gate.ErrTimeout, err)
		}
		if entry.IsDir() {
			return c.readFeed(from, name)
		}
		kind := sourceKind(name)
		if kind == "" || path.Base(name) == feedFile {
			return nil
		}
		info, err := fs.Stat(from, name) // follows a symbolic link
		if err != nil {
			return fmt.Errorf("reading advisory source %q: %w: %w", name, err, gate.ErrInvalid)
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		if err := c.readFile(ctx, from, name, kind); err != nil {
			return err
		}
		c.files++
		return nil
	})
}

func readSource(from fs.FS, name string) ([]byte, error) {
	f, err := from.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading advisory source %q: %w: %w", name, err, gate.ErrInvalid)
	}
	defer f.Close()
	unpacked, err := format.Unpack(f, format.Limits{Bytes: maxSourceBytes})
	if err != nil {
		return nil, fmt.Errorf("reading advisory source %q: %w", name, err)
	}
	defer unpacked.Close()
	data, err := io.ReadAll(unpacked)
	if err != nil {
		return nil, fmt.Errorf("reading advisory source %q: %w", name, err)
	}
	return data, nil
}

// parse recognises the format of a file by its top-level keys.
func (c *collection) parse(name string, doc document) error {
	if list, ok := doc.list(); ok {
		for i, entry := range list {
			if err := c.parseEntry(name, entry); err != nil {
				return fmt.Errorf("entry %d: %w", i, err)
			}
		}
		return nil
	}
	keys, err := doc.keys()
	if err != nil {
		return err
	}
	has := func(k string) bool { return slices.Contains(keys, k) }
	if done, err := c.parseUbuntu(name, doc, has); done {
		return err
	}
	switch {
	case has("document"):
		return c.parseCSAF(name, doc)
	case has("affected") || has("id") && has("modified"):
		if done, err := c.parseOwnOSV(name, doc.data); done && !doc.yaml {
			return err
		}
		return c.parseOSV(name, doc)
	case has("distroversion"):
		c.ages.undated(name)
		return c.parseSecdb(doc)
	case has("distribution") || has("advisories") || len(keys) > 0 && has("vulnerabilities"):
		return c.parseOwn(name, doc)
	case doc.isTracker():
		c.ages.undated(name)
		return c.parseTracker(doc)
	}
	return fmt.Errorf("unknown format with the keys %s: want OSV, CSAF 2.0, Alpine secdb, the trackers of Debian and Ubuntu, or the format of docs/advisories.md",
		gate.Printable(strings.Join(keys[:min(len(keys), 8)], ", "), 200))
}

// parseEntry reads one entry of a list of OSV.
func (c *collection) parseEntry(name string, entry []byte) error {
	done, err := c.parseOwnOSV(name, entry)
	if !done {
		err = c.parseOSV(name, document{data: entry})
	}
	return err
}

// resourceError wraps an error of writing: a full disk is gate.ErrResource,
// everything else gate.ErrInvalid.
func resourceError(doing string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%s: %w: %w", doing, err, gate.ErrResource)
	}
	return fmt.Errorf("%s: %w: %w", doing, err, gate.ErrInvalid)
}
