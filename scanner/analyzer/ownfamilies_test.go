package analyzer_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	trivydb "github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	_ "modernc.org/sqlite"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/statement"
	"github.com/digestgate/digestgate/scanner/match"
)

// installed is a package of an RPM database: name, epoch, version, release, source and
// vendor.
type installed struct {
	name           string
	epoch          uint32
	version, rel   string
	source, vendor string
}

// header is a package as rpm stores it: an index of tags and their values
// (https://rpm-software-management.github.io/rpm/manual/format_header.html).
func (p installed) header() []byte {
	var index, data bytes.Buffer
	entry := func(tag, kind uint32, value []byte) {
		_ = binary.Write(&index, binary.BigEndian, [4]uint32{tag, kind, uint32(data.Len()), 1})
		data.Write(value)
	}
	const number, text = 4, 6
	entry(1003, number, binary.BigEndian.AppendUint32(nil, p.epoch))
	for _, t := range []struct {
		tag   uint32
		value string
	}{{1000, p.name}, {1001, p.version}, {1002, p.rel}, {1011, p.vendor}, {1022, "x86_64"}, {1044, fmt.Sprintf("%s-%s-%s.src.rpm", p.source, p.version, p.rel)}} {
		entry(t.tag, text, append([]byte(t.value), 0))
	}
	blob := binary.BigEndian.AppendUint32(nil, uint32(index.Len()/16))
	blob = binary.BigEndian.AppendUint32(blob, uint32(data.Len()))
	return append(append(blob, index.Bytes()...), data.Bytes()...)
}

// rpmDatabase is the file rpmdb.sqlite with the packages.
func rpmDatabase(t *testing.T, list ...installed) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if _, err := db.Exec("INSERT INTO Packages (blob) VALUES (?)", p.header()); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// writeStatements makes a database of statements by bucket and vulnerability.
func writeStatements(t *testing.T, dir string, all map[string]statement.Statement) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket([]byte("vulnerability")); err != nil {
			return err
		}
		for name, s := range all {
			i := strings.LastIndex(name, " ")
			adv := s.Advisory()
			if err := (trivydb.Config{}).PutAdvisory(tx, []string{name[:i], s.Key()}, name[i+1:], &adv); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestRealOwnFamilies: from the layers of an image to its findings, for distributions
// that Trivy has no detector for. The child reads release files and package database, and
// the matcher compares the packages with statements.
func TestRealOwnFamilies(t *testing.T) {
	out := t.TempDir()
	writeStatements(t, out, map[string]statement.Statement{
		"openEuler 20.03-LTS-SP1 CVE-2026-1": {Package: "openssl", Source: true, NoEpoch: true, FixedVersion: "1.1.1f-15.oe1"},
		"EulerOS 2.0-SP9 CVE-2026-2":         {Package: "kernel", FixedVersion: "4.19-h805.eulerosv2r9"},
		"UnionTech OS 20-1060d CVE-2026-3":   {Package: "xz-utils", Source: true, FixedVersion: "5.2.4-1+deb10u1"},
	})
	m := match.New(nil, nil)
	defer m.Close()
	if err := m.Load(t.Context(), out, gate.Generation{Number: 1, Content: digestOf([]byte("statements"))}); err != nil {
		t.Fatal(err)
	}
	const rpmdb = "var/lib/rpm/rpmdb.sqlite"
	openEuler := "NAME=\"openEuler\"\nVERSION=\"20.03 (LTS-SP1)\"\nID=\"openEuler\"\nVERSION_ID=\"20.03\"\n"
	ssl := installed{"openssl-libs", 1, "1.1.1f", "1.oe1", "openssl", "http://openeuler.org"}
	src := &source{}
	a := withRealChild(t, src, nil)
	for name, c := range map[string]struct {
		entries []entry
		os      gate.OS
		want    []string
		purl    string // of the first finding
	}{
		"openeuler_without_epoch": {
			[]entry{file("etc/os-release", openEuler), file("etc/openEuler-release", "openEuler release 20.03 (LTS-SP1)\n"), file(rpmdb, rpmDatabase(t, ssl, installed{"zlib", 0, "1.2.11", "18.oe1", "zlib", ""}))},
			gate.OS{Family: "openeuler", Name: "20.03-LTS-SP1"}, []string{"openssl-libs CVE-2026-1 1:1.1.1f-1.oe1"}, "pkg:rpm/openeuler/openssl-libs@1.1.1f-1.oe1?",
		},
		"openeuler_of_another_pack": {
			[]entry{file("etc/os-release", strings.ReplaceAll(openEuler, "SP1", "SP3")), file(rpmdb, rpmDatabase(t, ssl))},
			gate.OS{Family: "openeuler", Name: "20.03-LTS-SP3"}, []string{"no advisories for openEuler 20.03-LTS-SP3"}, "",
		},
		"euleros": {
			[]entry{file("etc/os-release", "ID=\"euleros\"\nVERSION=\"2.0 (SP5)\"\nVERSION_ID=\"2.0\"\nID_LIKE=\"rhel fedora centos\"\n"), file("etc/euleros-release", "EulerOS release 2.0 (SP9x86_64)\n"),
				file("etc/redhat-release", "EulerOS release 2.0 (SP9x86_64)\n"), file(rpmdb, rpmDatabase(t, installed{"kernel", 0, "4.19", "h781.eulerosv2r9", "kernel", "Huawei"}))},
			gate.OS{Family: "euleros", Name: "2.0-SP9"}, []string{"kernel CVE-2026-2 4.19-h781.eulerosv2r9"}, "pkg:rpm/euleros/kernel@4.19-h781.eulerosv2r9?",
		},
		"uniontech_d": {
			[]entry{file("etc/os-release", "ID=uos\nVERSION_ID=\"20\"\n"), file("etc/debian_version", "10.10\n"), file("etc/os-version", "[Version]\nSystemName=UOS Server\nProductType=Server\nEditionName=d\nMajorVersion=20\nMinorVersion=1060\n"),
				file("var/lib/dpkg/status", "Package: liblzma5\nStatus: install ok installed\nSource: xz-utils\nVersion: 5.2.4-1\nArchitecture: amd64\nMaintainer: UnionTech <packages@uniontech.com>\n\n")},
			gate.OS{Family: "uniontech", Name: "20-1060d"}, []string{"liblzma5 CVE-2026-3 5.2.4-1"}, "pkg:deb/uniontech/liblzma5@5.2.4-1?",
		},
		"tencentos_that_says_centos": {
			[]entry{file("usr/lib/os-release", "NAME=\"CentOS Linux\"\nID=\"centos\"\nVERSION_ID=\"8\"\n"), file(rpmdb, rpmDatabase(t, installed{"kernel", 0, "5.4.119", "19.0009.tl3", "kernel", "Tencent"}, installed{"bash", 0, "4.4", "1.el8", "bash", "CentOS"}, installed{"acl", 0, "2", "1.el8", "acl", "CentOS"}))},
			gate.OS{Family: "centos", Name: "8"}, []string{"was built for TencentOS (tl3)"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inv := analyze(t, a, src.add([]layer{tarLayer(t, c.entries...)}, nil))
			if inv.OS != c.os {
				t.Errorf("OS: got %+v, want %+v", inv.OS, c.os)
			}
			f, err := m.Match(t.Context(), inv)
			if err != nil {
				t.Fatal(err)
			}
			if f.Unassessable != "" {
				if len(c.want) != 1 || !strings.Contains(f.Unassessable, c.want[0]) {
					t.Errorf("Unassessable: got %q, want %q", f.Unassessable, c.want)
				}
				return
			}
			var got []string
			for _, v := range f.Vulnerabilities {
				got = append(got, v.Package+" "+v.ID+" "+v.InstalledVersion)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || len(f.Gaps) > 0 {
				t.Fatalf("gaps %v, findings (-want +got):\n%s", f.Gaps, diff)
			}
			if !strings.HasPrefix(f.Vulnerabilities[0].PURL, c.purl) {
				t.Errorf("PURL: got %q, want %q", f.Vulnerabilities[0].PURL, c.purl)
			}
		})
	}
}
