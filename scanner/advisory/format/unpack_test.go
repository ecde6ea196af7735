package format_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t *testing.T, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// packed64 are "<updates/>\n" as xz 5.4 and bzip2 1.0.8 pack it.
var packed64 = map[string]string{
	"xz":    "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAKPHVwZGF0ZXMvPgoAALWkmehqZ50EAAEjC8Ib/QkftvN9AQAAAAAEWVo=",
	"bzip2": "QlpoOTFBWSZTWZloIDcAAAFZgAAQAACABSYATgAgACIGg00IBppoBkYeSS8XckU4UJCZaCA3",
}

func unpack(data []byte, l format.Limits) (string, error) {
	r, err := format.Unpack(bytes.NewReader(data), l)
	if err != nil {
		return "", err
	}
	defer r.Close()
	out, err := io.ReadAll(r)
	return string(out), err
}

func TestUnpack(t *testing.T) {
	const text = "<updates/>\n"
	files := map[string][]byte{"plain": []byte(text), "gzip": gzipped(t, []byte(text)), "zstd": zstandard(t, []byte(text)), "empty": nil}
	for name, s := range packed64 {
		data, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			want := text
			if data == nil {
				want = ""
			}
			if got, err := unpack(data, format.Limits{}); err != nil || got != want {
				t.Errorf("got %q %v", got, err)
			}
			if name == "plain" || name == "empty" {
				return
			}
			for _, bad := range [][]byte{data[:len(data)-3], append(bytes.Clone(data[:len(data)/2]), bytes.Repeat([]byte{0xff}, len(data)/2)...)} {
				if got, err := unpack(bad, format.Limits{}); !errors.Is(err, gate.ErrInvalid) {
					t.Errorf("damaged: got %q %v, want ErrInvalid", got, err)
				}
			}
		})
	}
}

func TestUnpack_bounded(t *testing.T) {
	bomb := make([]byte, 66<<20)
	for name, c := range map[string]struct {
		data   []byte
		limits format.Limits
		want   string
	}{
		"plain":      {bytes.Repeat([]byte("a"), 2000), format.Limits{Bytes: 1000}, "the file has more than 1000B"},
		"gzip":       {gzipped(t, bytes.Repeat([]byte("a"), 2000)), format.Limits{Bytes: 1000}, "the file has more than 1000B"},
		"gzip_ratio": {gzipped(t, bomb), format.Limits{}, "the gzip file unpacks to more than 200 times its size"},
		"zstd_ratio": {zstandard(t, bomb), format.Limits{}, "the zstd file unpacks to more than 200 times its size"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := unpack(c.data, c.limits); !errors.Is(err, gate.ErrTooLarge) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrTooLarge with %q", err, c.want)
			}
		})
	}
}

// TestUnpack_dictionary: an xz header that asks for 1.5 GiB is refused before they are
// allocated.
func TestUnpack_dictionary(t *testing.T) {
	data, err := base64.StdEncoding.DecodeString("/Td6WFoAAATm1rRGAgAhASUAAAA7eHtBAQAKPHVwZGF0ZXMvPgoAALWkmehqZ50EAAEjC8Ib/QkftvN9AQAAAAAEWVo=")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(data, format.Limits{}); !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), "dictionary") {
		t.Errorf("got %v, want ErrInvalid for the dictionary", err)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"abc": "abc", "": "", "\uFEFFa\uFEFF": "a\uFEFF", "ab\xffc\xc3": "ab\uFFFDc\uFFFD", "ä€𝄞": "ä€𝄞", "\x00\t\n\r\x1f": "\uFFFD\t\n\r\uFFFD",
		"\xef\xbf\xbe": "\uFFFD", "\xef\xbb": "\uFFFD\uFFFD", "a": "a",
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "bytes": iotest.OneByteReader(strings.NewReader(in)), "with_end": iotest.DataErrReader(strings.NewReader(in))} {
			if got, err := io.ReadAll(format.Clean(r)); err != nil || string(got) != want {
				t.Errorf("%s: Clean(%q): got %q %v, want %q", name, in, got, err, want)
			}
		}
	}
	long := strings.Repeat("€", 100_000)
	if got, err := io.ReadAll(format.Clean(strings.NewReader(long))); err != nil || string(got) != long {
		t.Errorf("a long text changed: %d bytes, %v", len(got), err)
	}
}
