package gate

import (
	"fmt"

	"github.com/dustin/go-humanize"
)

// ByteSize is a number of bytes that is written with a unit in the
// configuration ("512MiB", "10GiB"; decimal units work too).
type ByteSize int64

// UnmarshalText parses a size; ErrInvalid.
func (b *ByteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<62 {
		return fmt.Errorf("parsing size %s (want a number with a unit, such as 512MiB): %w", Quoted(string(text), 40), ErrInvalid)
	}
	*b = ByteSize(n)
	return nil
}

// MarshalText writes the size with its largest fitting binary unit, without
// loss.
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b ByteSize) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	n, i := int64(b), 0
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return fmt.Sprintf("%d%s", n, units[i])
}
