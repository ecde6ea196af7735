//go:build goexperiment.jsonv2

package child

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// analyzerDatabase is who says that a package database is too large to be read.
const analyzerDatabase = "package-database"

// The limits of package databases. A Debian desktop has 3,000 packages in 4 MiB, an
// RPM database of as many about 100 MiB. What is larger was made to keep a reader
// busy: Trivy's takes kilobytes of memory for each empty line.
const (
	maxDatabaseBytes   = 64 << 20
	maxDatabaseRecords = 100_000
	maxDatabaseLines   = 5_000_000
	maxRPMBytes        = 256 << 20
	// maxLayerPackages bounds what all files of a layer list.
	maxLayerPackages = 200_000
)

// overDatabase says why the file, if it is a package database, is not read; "" when
// it is not a database or is within the limits.
func (j *job) overDatabase() (why string, err error) {
	db, ok := distribution.Database(j.name)
	dpkgs := strings.HasPrefix(j.name, "var/lib/dpkg/") // what is read beside the status
	switch {
	case !ok && !dpkgs:
		return "", nil
	case ok && db.Manager == "rpm":
		return overBytes(j.info.Size(), maxRPMBytes), nil
	case ok && db.Manager != "dpkg" && db.Manager != "apk":
		return "", nil
	}
	if why := overBytes(j.info.Size(), maxDatabaseBytes); why != "" || !j.files.read(j) {
		return why, nil
	}
	content, err := j.open()
	if err != nil {
		return "", err
	}
	defer content.Close()
	return overRecords(content)
}

// read reports whether an analyser of packages reads the file.
func (f *files) read(j *job) bool {
	_, ok := distribution.Database(j.name)
	return ok || len(f.post.RequiredPostAnalyzers(j.name, j.info)) > 0
}

func overBytes(size, limit int64) string {
	if size <= limit {
		return ""
	}
	return fmt.Sprintf("the package database has %s, more than %s", gate.ByteSize(size), gate.ByteSize(limit))
}

// overRecords counts lines, and the empty ones that end records.
func overRecords(r io.Reader) (why string, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	records, lines := 0, 0
	empty, begun := true, false // of the present line; begun: within one longer than the buffer
	for {
		part, err := in.ReadSlice('\n')
		if len(part) > 0 {
			if !begun {
				empty = true
			}
			empty = empty && strings.TrimSpace(string(part[:min(len(part), 64)])) == "" && len(part) <= 64
			begun = err != nil
		}
		if err == nil {
			lines++
			if empty {
				records++
			}
		}
		switch {
		case records > maxDatabaseRecords:
			return fmt.Sprintf("the package database has more than %d records or empty lines", maxDatabaseRecords), nil
		case lines > maxDatabaseLines:
			return fmt.Sprintf("the package database has more than %d lines", maxDatabaseLines), nil
		case errors.Is(err, io.EOF):
			return "", nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}
