package advisory

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format/release"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// feedFile says of the files in its directory, and below it, which distribution they are
// of. RPM repositories' updateinfo.xml does not tell.
const feedFile = "feed.yaml"

// feed is the content of a feedFile.
type feed struct {
	Distribution string `yaml:"distribution"`
	Release      string `yaml:"release"`
	// Epochs false: whatever epochs the versions have, they are compared without.
	Epochs *bool `yaml:"epochs"`

	family string
	target release.Target // Bucket is "" for a family whose files name the release
	used   bool
}

// namesRelease are the families whose one file has the advisories of all releases, and
// names them in titles.
var namesRelease = map[string]bool{distribution.TencentOS: true}

// readFeed reads the feedFile of a directory, if there is one.
func (c *collection) readFeed(from fs.FS, dir string) error {
	name := path.Join(dir, feedFile)
	if _, err := fs.Stat(from, name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	data, err := readSource(from, name)
	if err != nil {
		return err
	}
	var f feed
	if err := (document{yaml: true, data: data}).decode(&f, true); err != nil {
		return fmt.Errorf("advisory source %q: %w: %w", name, err, gate.ErrInvalid)
	}
	switch {
	case f.Distribution == "" && f.Release == "" && f.Epochs != nil: // the files name it
	case f.Distribution == "":
		err = errors.New("field distribution: is empty")
	case f.Release == "" && namesRelease[f.Distribution]:
		f.family = f.Distribution
	default:
		f.target, err = release.Named(f.Distribution, f.Release)
		f.family = f.target.Family
	}
	if err != nil {
		return fmt.Errorf("advisory source %q: %w: %w", name, err, gate.ErrInvalid)
	}
	c.feeds[dir] = &f
	return nil
}

// feedOf is the feedFile that a file belongs to, nil for none.
func (c *collection) feedOf(name string) *feed {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if f := c.feeds[dir]; f != nil {
			f.used = true
			return f
		}
		if dir == "." || dir == "/" {
			return nil
		}
	}
}
