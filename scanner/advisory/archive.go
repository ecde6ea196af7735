package advisory

import (
	"archive/zip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Bounds of a zip archive of advisories. That of all of osv.dev has 1 GB and, unpacked,
// some 600,000 entries with 5 GB; its largest entry has 5 MB.
const (
	maxArchiveEntries = 4_000_000
	maxArchiveIndex   = maxArchiveEntries * 46 // bytes of its directory, which is read into memory; an entry has at least 46
	maxEntryBytes     = 64 << 20
	maxArchiveBytes   = 32 << 30
	maxExpansion      = 200 // times its compressed size, of the whole; of a small entry more
	expansionSlack    = 64 << 20
)

// readArchive reads each file of a zip archive as if it were in the directory. One entry
// is in memory at a time, besides the archive's directory. Errors name the archive and
// wrap gate.ErrInvalid or gate.ErrTooLarge.
func (c *collection) readArchive(ctx context.Context, from fs.FS, name string) error {
	f, err := from.Open(name)
	if err != nil {
		return fmt.Errorf("reading advisory source %q: %w: %w", name, err, gate.ErrInvalid)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading advisory source %q: %w: %w", name, err, gate.ErrInvalid)
	}
	at, ok := f.(io.ReaderAt)
	if !ok {
		return fmt.Errorf("reading advisory source %q: it cannot be read as an archive: %w", name, gate.ErrInvalid)
	}
	if err := c.readZip(ctx, name, at, info.Size()); err != nil {
		return fmt.Errorf("advisory source %q: %w", name, err)
	}
	return nil
}

func (c *collection) readZip(ctx context.Context, name string, at io.ReaderAt, size int64) error {
	entries, index, err := zipEnd(at, size)
	switch {
	case err != nil:
		return err
	case entries > maxArchiveEntries || index > maxArchiveIndex || index > uint64(size):
		return fmt.Errorf("the archive has %d entries and a directory of %d bytes: %w", entries, index, gate.ErrTooLarge)
	}
	directory := &bounded{at: at, left: int64(index) + directorySlack}
	archive, err := zip.NewReader(directory, size)
	switch {
	case errors.Is(err, gate.ErrTooLarge):
		return fmt.Errorf("reading the directory of the archive: %w", err)
	case err != nil:
		return fmt.Errorf("it is not a zip archive: %w: %w", err, gate.ErrInvalid)
	}
	directory.left = -1
	room := min(int64(maxArchiveBytes), size*maxExpansion+expansionSlack)
	read := 0
	for _, entry := range archive.File {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("reading advisory sources: %w: %w", gate.ErrTimeout, err)
		}
		if !entry.Mode().IsRegular() || strings.ToLower(path.Ext(entry.Name)) != ".json" {
			c.skipped["files in archives that are not JSON"]++
			continue
		}
		data, err := unzip(entry, min(maxEntryBytes, room))
		if err == nil {
			room -= int64(len(data))
			err = c.parse(name+"/"+gate.Printable(entry.Name, 200), document{data: data})
		}
		switch {
		case errors.Is(err, gate.ErrTooLarge):
			return fmt.Errorf("entry %s: %w", gate.Quoted(entry.Name, 200), err)
		case err != nil:
			return fmt.Errorf("entry %s: %w: %w", gate.Quoted(entry.Name, 200), err, gate.ErrInvalid)
		}
		read++
	}
	if read == 0 {
		return fmt.Errorf("the archive holds no JSON: %w", gate.ErrInvalid)
	}
	return nil
}

// directorySlack is what is read of an archive besides its directory before its entries
// are: the records at its end, and what is read ahead.
const directorySlack = 1 << 20

// bounded lets so many bytes be read; less than 0 is without a bound. archive/zip reads
// entries of a directory as long as there are some, whatever the archive says of their
// number and size.
type bounded struct {
	at   io.ReaderAt
	left int64
}

func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.at.ReadAt(p, off)
	if b.left >= 0 {
		if b.left -= int64(n); b.left < 0 {
			return 0, fmt.Errorf("it is larger than the archive says: %w", gate.ErrTooLarge)
		}
	}
	return n, err
}

// unzip reads an entry of at most so many bytes, whatever its header says.
func unzip(entry *zip.File, most int64) ([]byte, error) {
	if entry.UncompressedSize64 > uint64(most) {
		return nil, fmt.Errorf("it has %d bytes unpacked, at most %d are taken: %w", entry.UncompressedSize64, most, gate.ErrTooLarge)
	}
	r, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, most+1)) // the reader checks size and checksum
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("it has more than %d bytes unpacked: %w", most, gate.ErrTooLarge)
	}
	return data, err
}

// zipEnd reads how many entries an archive says that it has, and how long its directory
// is, before anything is made of that size (APPNOTE.TXT 4.3.14 to 4.3.16).
func zipEnd(at io.ReaderAt, size int64) (entries, index uint64, err error) {
	const end, most = 22, 22 + 65535
	tail := make([]byte, min(size, most))
	if n, err := at.ReadAt(tail, size-int64(len(tail))); err != nil && n < len(tail) {
		return 0, 0, fmt.Errorf("reading the end of the archive: %w: %w", err, gate.ErrInvalid)
	}
	i := strings.LastIndex(string(tail), "PK\x05\x06")
	if i < 0 || len(tail)-i < end {
		return 0, 0, fmt.Errorf("it is not a zip archive, or it was cut short: %w", gate.ErrInvalid)
	}
	entries, index = uint64(binary.LittleEndian.Uint16(tail[i+10:])), uint64(binary.LittleEndian.Uint32(tail[i+12:]))
	if entries != 0xffff && index != 0xffffffff || i < 20 || string(tail[i-20:i-16]) != "PK\x06\x07" {
		return entries, index, nil
	}
	big := make([]byte, 56)
	where := binary.LittleEndian.Uint64(tail[i-12:])
	if where > uint64(size) {
		return 0, 0, fmt.Errorf("the archive was cut short: %w", gate.ErrInvalid)
	}
	if n, err := at.ReadAt(big, int64(where)); err != nil && n < len(big) || string(big[:4]) != "PK\x06\x06" {
		return 0, 0, fmt.Errorf("the archive was cut short: %w", gate.ErrInvalid)
	}
	return binary.LittleEndian.Uint64(big[32:]), binary.LittleEndian.Uint64(big[40:]), nil
}
