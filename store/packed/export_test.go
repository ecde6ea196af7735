package packed

import (
	"unsafe"

	"github.com/digestgate/digestgate/gate"
)

// Blocks is in how many pieces of memory the texts of findings are, at least.
func Blocks(f *gate.Findings) int {
	n, end := 0, uintptr(0)
	for i := range f.Vulnerabilities {
		for _, s := range vulnerabilityTexts(&f.Vulnerabilities[i]) {
			if *s == "" {
				continue
			}
			begin := uintptr(unsafe.Pointer(unsafe.StringData(*s)))
			if begin != end {
				n++
			}
			end = begin + uintptr(len(*s))
		}
	}
	return n
}
