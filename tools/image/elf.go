package main

import (
	"bytes"
	"debug/elf"
	"fmt"
)

// machines are the processors of the platforms, as ELF files name them.
var machines = map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}

// runsOn refuses a program that the image cannot run: one for another processor, or one
// that needs a dynamic linker, which the image does not have.
func runsOn(program []byte, platform string) error {
	want, ok := machines[platform]
	if !ok {
		return fmt.Errorf("platform %q is not one of linux/amd64, linux/arm64", platform)
	}
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("it is not an ELF file: %w", err)
	}
	if f.Machine != want {
		return fmt.Errorf("it is for %v, want %v", f.Machine, want)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return fmt.Errorf("it is linked dynamically; build it with CGO_ENABLED=0")
		}
	}
	return nil
}
