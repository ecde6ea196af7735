package gate

import (
	"fmt"
	"io"
	"os"
)

// maxSmallFile is more than any secret, key or bundle of certificates has.
const maxSmallFile = 1 << 20

// ReadSmallFile reads a file that the configuration names for a secret, a key or
// certificates, as [PlainText] does. ErrTooLarge for one that is larger than 1 MiB or
// has no end, such as /dev/zero; ErrInvalid for UTF-16; other errors are those of the
// file system.
func ReadSmallFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSmallFile {
		return nil, fmt.Errorf("%q is larger than %s, which no such file is: %w", path, ByteSize(maxSmallFile), ErrTooLarge)
	}
	plain, err := PlainText(text)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	return plain, nil
}
