package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
)

// user is the user of the image, without a name on the node: 65532 is what distroless
// images use, and what policies of clusters know as non-root.
const user = 65532

// ownDirs are the directories that belong to user, and what [writeForDockerfile] calls them.
var ownDirs = map[string]string{"home/nonroot": "home/nonroot", "var/lib/digestgate": "lib/digestgate"}

const passwd = `root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
`

const group = `root:x:0:
nobody:x:65534:
tty:x:5:
nonroot:x:65532:
`

// osRelease says where the packages are from: scanners choose their advisories by it.
const osRelease = `PRETTY_NAME="digestgate, with packages of Debian GNU/Linux ` + distribution + ` (` + distributionName + `)"
NAME="Debian GNU/Linux"
VERSION_ID="` + distribution + `"
VERSION="` + distribution + ` (` + distributionName + `)"
VERSION_CODENAME=` + distributionName + `
ID=debian
HOME_URL="https://www.debian.org/"
`

// packageInfo is what an SBOM says of a Debian package.
type packageInfo struct {
	name, version, arch, maintainer, sha256 string
}

// baseTree is everything but the programs. Of the packages it has the certificates of
// authorities, in one file as update-ca-certificates writes it, the time zones, their
// copyright, and the records by which scanners find them (var/lib/dpkg/status.d, as in
// distroless images).
func baseTree(packages map[debianPackage][]byte, license []byte) (tree, []packageInfo, error) {
	t := tree{}
	t.dir("tmp", 0o777|fs.ModeSticky, 0)
	for name := range ownDirs {
		t.dir(name, 0o700, user)
	}
	t.file("etc/passwd", 0o644, []byte(passwd))
	t.file("etc/group", 0o644, []byte(group))
	t.file("etc/os-release", 0o644, []byte(osRelease))
	t.file("usr/share/doc/digestgate/LICENSE", 0o644, license)
	var infos []packageInfo
	var bundle []byte
	for _, p := range debianPackages {
		d, err := readDeb(packages[p])
		if err != nil {
			return nil, nil, fmt.Errorf("package %s: %w", p.name, err)
		}
		info := packageInfo{d.field("Package"), d.field("Version"), d.field("Architecture"), d.field("Maintainer"), p.sha256}
		if info.name != p.name || info.version != p.version {
			return nil, nil, fmt.Errorf("package %s %s: it says that it is %s %s", p.name, p.version, info.name, info.version)
		}
		infos = append(infos, info)
		t.file("var/lib/dpkg/status.d/"+p.name, 0o644, []byte(d.control))
		bundle = append(bundle, certificates(d.files)...)
		var taken []string
		for name, e := range d.files {
			if takes(name, e) {
				t[name] = e
				taken = append(taken, name)
			}
		}
		t.file("var/lib/dpkg/status.d/"+p.name+".md5sums", 0o644, d.sumsOf(taken))
	}
	// Mozilla's list has about 140. A package that is built differently must not leave the
	// programs without any.
	if n := bytes.Count(bundle, []byte("-----BEGIN CERTIFICATE-----")); n < 100 {
		return nil, nil, fmt.Errorf("the packages have %d certificates in %s, want at least 100", n, certificatesDir)
	}
	t.file("etc/ssl/certs/ca-certificates.crt", 0o644, bundle)
	return t.complete(), infos, nil
}

// takes reports whether a file of a package goes into the image. The time zones are there
// twice more, with and without leap seconds, which Go does not use.
func takes(name string, e entry) bool {
	if e.mode.IsDir() {
		return false
	}
	switch {
	case strings.HasPrefix(name, "usr/share/zoneinfo/posix/"), strings.HasPrefix(name, "usr/share/zoneinfo/right/"):
		return false
	case strings.HasPrefix(name, "usr/share/zoneinfo/"):
		return true
	}
	return strings.HasPrefix(name, "usr/share/doc/") && strings.HasSuffix(name, "/copyright")
}

const certificatesDir = "usr/share/ca-certificates/mozilla/"

// certificates are those of a package in the order of their names, as update-ca-certificates
// writes them into one file.
func certificates(files tree) []byte {
	var b bytes.Buffer
	for _, name := range files.paths() {
		if strings.HasPrefix(name, certificatesDir) && files[name].mode.IsRegular() {
			b.Write(bytes.TrimSpace(files[name].content))
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// field is a field of the control file that has one line.
func (d deb) field(name string) string {
	for line := range strings.Lines(d.control) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// sumsOf are the lines of md5sums for some files.
func (d deb) sumsOf(taken []string) []byte {
	is := map[string]bool{}
	for _, name := range taken {
		is[name] = true
	}
	var b bytes.Buffer
	for line := range strings.Lines(d.md5sums) {
		if _, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  "); ok && is[name] {
			b.WriteString(line)
		}
	}
	return b.Bytes()
}
