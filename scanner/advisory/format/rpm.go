package format

import (
	"fmt"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// EVR is the version of an RPM package.
type EVR struct {
	Epoch            string // digits; "" when none is written
	Version, Release string
}

// String is "epoch:version-release", without the epoch if it is 0 or none.
func (v EVR) String() string {
	s := v.Version
	if v.Release != "" {
		s += "-" + v.Release
	}
	if strings.Trim(v.Epoch, "0") == "" {
		return s
	}
	return v.Epoch + ":" + s
}

// ParseEVR reads "[epoch:]version-release". A version without a release, a character that
// rpm does not allow, or a part without a digit is an error: what compares wrongly reads
// as a package that is not affected.
func ParseEVR(s string) (EVR, error) {
	v, parts, err := splitEVR(s)
	if err != nil {
		return v, err
	}
	if len(parts) != 2 {
		return v, fmt.Errorf("version %s: want [epoch:]version-release with one dash", gate.Quoted(s, 100))
	}
	v.Version, v.Release = parts[0], parts[1]
	return v, v.check(s)
}

// RepairEVR is ParseEVR for OVAL files whose generator puts a piece of a package's name
// before the version: "32:chroot-9.18.34-1.an23" of bind-chroot (of Alibaba Cloud Linux 2,
// 3 and 4 three versions in four, measured 2026-08-28). Neither a version nor a release may
// contain a dash, so that the true one is what the last two parts are.
func RepairEVR(s string) (v EVR, repaired bool, err error) {
	v, parts, err := splitEVR(s)
	if err != nil {
		return v, false, err
	}
	if len(parts) < 2 {
		return v, false, fmt.Errorf("version %s: want [epoch:]version-release", gate.Quoted(s, 100))
	}
	repaired = len(parts) > 2
	parts = parts[len(parts)-2:]
	v.Version, v.Release = parts[0], parts[1]
	return v, repaired, v.check(s)
}

func splitEVR(s string) (v EVR, parts []string, err error) {
	rest := strings.TrimSpace(s)
	if epoch, after, ok := strings.Cut(rest, ":"); ok {
		if epoch == "" || strings.Trim(epoch, "0123456789") != "" || len(epoch) > 10 {
			return v, nil, fmt.Errorf("version %s: the epoch is not a number", gate.Quoted(s, 100))
		}
		v.Epoch, rest = epoch, after
	}
	return v, strings.Split(rest, "-"), nil
}

func (v EVR) check(s string) error {
	for _, part := range []string{v.Version, v.Release} {
		if !rpmWord(part) || !strings.ContainsAny(part, "0123456789") {
			return fmt.Errorf("version %s: %s cannot be a version or a release", gate.Quoted(s, 100), gate.Quoted(part, 60))
		}
	}
	return nil
}

// rpmWord reports whether s has only what rpm allows in a version and in a release
// (rpm build/parsePreamble.c: ALLOWED_CHARS_VERREL).
func rpmWord(s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', strings.IndexByte("._+~^%{}", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// RPMName reports whether s can be the name of a package.
func RPMName(s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case i > 0 && strings.IndexByte(".+-%{}~()", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// arches are the architectures that names of files end in.
var arches = []string{
	"x86_64", "aarch64", "noarch", "src", "nosrc", "i686", "i386", "i486", "i586", "ppc64le", "ppc64", "ppc",
	"s390x", "s390", "loongarch64", "riscv64", "sw_64", "armv7hl", "armv7l", "armv6hl", "mips64el", "x86_64_v2", "ia64",
}

// NVRA is a package with version and architecture.
type NVRA struct {
	Name string
	EVR  EVR
	Arch string // "" where it is not written
}

// Source reports whether it is a source package.
func (p NVRA) Source() bool { return p.Arch == "src" || p.Arch == "nosrc" }

// ParseNVRA reads "name-[epoch:]version-release[.arch][.rpm]", as names of files are
// written, from the right: names have dashes and dots, versions and releases no dashes.
func ParseNVRA(s string) (NVRA, error) {
	rest := strings.TrimSuffix(strings.TrimSpace(s), ".rpm")
	var p NVRA
	if i := strings.LastIndexByte(rest, '.'); i > 0 && slices.Contains(arches, rest[i+1:]) {
		p.Arch, rest = rest[i+1:], rest[:i]
	}
	i := strings.LastIndexByte(rest, '-')
	j := -1
	if i > 0 {
		j = strings.LastIndexByte(rest[:i], '-')
	}
	if j <= 0 || strings.ContainsAny(rest, " \t\n") {
		return p, fmt.Errorf("package %s: want name-version-release", gate.Quoted(s, 120))
	}
	p.Name = rest[:j]
	if !RPMName(p.Name) {
		return p, fmt.Errorf("package %s: %s cannot be a name", gate.Quoted(s, 120), gate.Quoted(p.Name, 80))
	}
	var err error
	p.EVR, err = ParseEVR(rest[j+1:])
	return p, err
}
