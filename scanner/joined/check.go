package joined

import (
	"context"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// FileProblem is a file that the configuration names for a table and that cannot be used.
type FileProblem struct {
	Key string // below advisories, such as "vex[0].path"
	Err error
}

// CheckFiles reads the files of tables and of VEX sources as a set does, and says which of
// them cannot be used. URLs are not asked, and nothing is kept. Of o it takes EPSS, KEV,
// EOL, VEX and Now.
func CheckFiles(ctx context.Context, o Options) (list []FileProblem) {
	bad := func(key string, err error) {
		if err != nil {
			list = append(list, FileProblem{key, err})
		}
	}
	bad("epss", checkFile(epssKind(), o.EPSS, readEPSS, o.Now))
	bad("kev", checkFile(kevKind(), o.KEV, readKEV, o.Now))
	bad("eol", checkFile(eolKind(), o.EOL, readEOL, o.Now))
	for i, c := range o.VEX {
		one := o
		one.VEX = []vex.Config{c}
		v, err := newVEXSource(one, nil)
		if err != nil {
			bad(fmt.Sprintf("vex[%d]", i), err)
			continue
		}
		if d := v.list[0]; d.feed != nil && d.feed.url == nil {
			_, err = d.read(ctx, o.Now(), nil)
			bad(fmt.Sprintf("vex[%d].path", i), err)
		}
	}
	return list
}

// checkFile reads a file as the source of a table does.
func checkFile[T any](k kind[T], from string, read reading[T], now func() time.Time) error {
	if from == "" || isURL(from) {
		return nil
	}
	f := &feed{from: from}
	text, _, err := f.read(context.Background())
	if err == nil {
		var t *T
		if t, err = read(text); err == nil {
			err = k.notOfTheFuture(t, now())
		}
	}
	if err != nil {
		err = fmt.Errorf("reading %s from %q: %w", k.what, from, err)
	}
	return err
}
