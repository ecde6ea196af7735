//go:build goexperiment.jsonv2

package child

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func TestAhead(t *testing.T) {
	boom := errors.New("boom")
	for _, size := range []int{0, 1, aheadBytes - 1, aheadBytes, aheadBytes + 1, 5*aheadBytes + 7, 40 * aheadBytes} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(rand.Uint32())
		}
		for _, end := range []error{io.EOF, boom} {
			a := newAhead(io.MultiReader(iotest.HalfReader(bytes.NewReader(want)), iotest.ErrReader(end)))
			got, err := io.ReadAll(iotest.HalfReader(a))
			if end == io.EOF {
				end = nil
			}
			if !bytes.Equal(got, want) || err != end {
				t.Errorf("%d bytes: got %d bytes and error %v, want error %v", size, len(got), err, end)
			}
			if _, again := a.Read(make([]byte, 1)); again == nil {
				t.Errorf("%d bytes: reading after the end gave no error", size)
			}
			a.close()
		}
	}
}
