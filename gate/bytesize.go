package gate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// ByteSize is a number of bytes that is written with a unit in the
// configuration ("512MiB", "10GiB"; decimal units work too).
type ByteSize int64

var binaryUnits = []string{"B", "KiB", "MiB", "GiB", "TiB"}

// UnmarshalText parses a size; ErrInvalid.
func (b *ByteSize) UnmarshalText(text []byte) error {
	if n, ok := exactSize(string(text)); ok {
		*b = n
		return nil
	}
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<62 {
		return fmt.Errorf("parsing size %q (want a number with a unit, such as 512MiB): %w", Printable(string(text), 40), ErrInvalid)
	}
	*b = ByteSize(n)
	return nil
}

// MarshalText writes the size with its largest fitting binary unit, without
// loss.
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b ByteSize) String() string {
	n, i := int64(b), 0
	for n != 0 && n%1024 == 0 && i < len(binaryUnits)-1 {
		n, i = n/1024, i+1
	}
	return fmt.Sprintf("%d%s", n, binaryUnits[i])
}

// exactSize reads what String writes. The general parser computes in floating
// point, which loses bytes above 2^53.
func exactSize(s string) (ByteSize, bool) {
	digits := strings.TrimRight(s, "BKMGTi")
	unit := slices.Index(binaryUnits, s[len(digits):])
	n, err := strconv.ParseUint(digits, 10, 62)
	if unit < 0 || err != nil || n > (1<<62)>>(10*unit) {
		return 0, false
	}
	return ByteSize(n << (10 * unit)), true
}
