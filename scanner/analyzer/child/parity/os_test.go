//go:build goexperiment.jsonv2

// Package parity_test compares what this project decides by itself with Trivy's
// analysers, which the program does not link for it.
package parity_test

import (
	"bytes"
	"context"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/aquasecurity/trivy/pkg/fanal/analyzer"
	_ "github.com/aquasecurity/trivy/pkg/fanal/analyzer/os/alpine"
	_ "github.com/aquasecurity/trivy/pkg/fanal/analyzer/os/amazonlinux"
	_ "github.com/aquasecurity/trivy/pkg/fanal/analyzer/os/debian"
	_ "github.com/aquasecurity/trivy/pkg/fanal/analyzer/os/redhatbase"
	_ "github.com/aquasecurity/trivy/pkg/fanal/analyzer/os/release"
	_ "github.com/aquasecurity/trivy/pkg/fanal/analyzer/os/ubuntu"
	"github.com/aquasecurity/trivy/pkg/semaphore"
	xio "github.com/aquasecurity/trivy/pkg/x/io"
	"golang.org/x/sync/errgroup"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// TestDistribution: for images of distributions that Trivy recognises, family and
// release are Trivy's to the letter. The files are the regular ones of public
// images, in the order in which their layers have them.
func TestDistribution(t *testing.T) {
	for name, files := range map[string][]gate.ReleaseFile{
		"debian_12":  {{Path: "etc/debian_version", Text: "12.4\n"}, {Path: "usr/lib/os-release", Text: "ID=debian\nVERSION_ID=\"12\"\n"}},
		"debian_sid": {{Path: "etc/debian_version", Text: "trixie/sid\n"}, {Path: "usr/lib/os-release", Text: "ID=debian\n"}},
		"ubuntu":     {{Path: "etc/debian_version", Text: "bookworm/sid\n"}, {Path: "etc/lsb-release", Text: "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\n"}, {Path: "usr/lib/os-release", Text: "ID=ubuntu\nVERSION_ID=\"22.04\"\n"}},
		"alpine":     {{Path: "etc/alpine-release", Text: "3.18.4\n"}, {Path: "usr/lib/os-release", Text: "ID=alpine\nVERSION_ID=3.18.4\n"}},
		"alpine_old": {{Path: "etc/alpine-release", Text: "2.7.9\n"}},
		"wolfi":      {{Path: "etc/os-release", Text: "ID=wolfi\nNAME=\"Wolfi\"\nVERSION_ID=\"20230201\"\n"}},
		"chainguard": {{Path: "etc/os-release", Text: "ID=chainguard\nVERSION_ID=\"20230214\"\n"}},
		"minimos":    {{Path: "etc/os-release", Text: "ID=minimos\nVERSION_ID=\"20241031\"\n"}},
		"echo":       {{Path: "etc/debian_version", Text: "12.4\n"}, {Path: "etc/os-release", Text: "ID=echo\nVERSION_ID=1"}},
		"ubi_8":      {{Path: "etc/redhat-release", Text: "Red Hat Enterprise Linux release 8.9 (Ootpa)\n"}, {Path: "usr/lib/os-release", Text: "ID=\"rhel\"\nVERSION_ID=\"8.9\"\n"}},
		"centos_6":   {{Path: "etc/centos-release", Text: "CentOS release 6.10 (Final)\n"}},
		"centos_7":   {{Path: "etc/centos-release", Text: "CentOS Linux release 7.6.1810 (Core) \n"}, {Path: "usr/lib/os-release", Text: "NAME=\"CentOS Linux\"\nID=\"centos\"\nVERSION_ID=\"7\"\n"}},
		"rocky":      {{Path: "etc/rocky-release", Text: "Rocky Linux release 9.3 (Blue Onyx)\n"}, {Path: "usr/lib/os-release", Text: "ID=\"rocky\"\nVERSION_ID=\"9.3\"\n"}},
		"alma":       {{Path: "etc/almalinux-release", Text: "AlmaLinux release 9.3 (Shamrock Pampas Cat)\n"}, {Path: "etc/os-release", Text: "ID=\"almalinux\"\nVERSION_ID=\"9.3\"\n"}},
		"oracle": {{Path: "etc/oracle-release", Text: "Oracle Linux Server release 8.9\n"}, {Path: "etc/redhat-release", Text: "Red Hat Enterprise Linux release 8.9 (Ootpa)\n"},
			{Path: "etc/os-release", Text: "ID=\"ol\"\nVERSION_ID=\"8.9\"\n"}},
		"amazon_1":     {{Path: "etc/system-release", Text: "Amazon Linux AMI release 2018.03\n"}, {Path: "usr/lib/os-release", Text: "ID=\"amzn\"\nVERSION_ID=\"2018.03\"\n"}},
		"amazon_2":     {{Path: "etc/system-release", Text: "Amazon Linux release 2 (Karoo)\n"}, {Path: "usr/lib/os-release", Text: "ID=\"amzn\"\nVERSION_ID=\"2\"\n"}},
		"amazon_2023":  {{Path: "usr/lib/system-release", Text: "Amazon Linux release 2023.6.20250115 (Amazon Linux)\n"}, {Path: "usr/lib/os-release", Text: "ID=\"amzn\"\nVERSION_ID=\"2023\"\n"}},
		"photon":       {{Path: "etc/lsb-release", Text: "DISTRIB_ID=\"VMware Photon OS\"\nDISTRIB_RELEASE=\"4.0\"\n"}, {Path: "usr/lib/os-release", Text: "ID=photon\nVERSION_ID=4.0\n"}},
		"mariner":      {{Path: "usr/lib/os-release", Text: "ID=mariner\nVERSION_ID=\"2.0\"\n"}},
		"azurelinux":   {{Path: "usr/lib/os-release", Text: "ID=azurelinux\nVERSION_ID=\"3.0\"\n"}},
		"sles":         {{Path: "usr/lib/os-release", Text: "ID=\"sles\"\nVERSION_ID=\"15.3\"\n"}},
		"sle_micro":    {{Path: "usr/lib/os-release", Text: "ID=\"sle-micro-rancher\"\nVERSION_ID=\"5.3\"\n"}},
		"leap":         {{Path: "usr/lib/os-release", Text: "ID=\"opensuse-leap\"\nVERSION_ID=\"15.6\"\n"}},
		"tumbleweed":   {{Path: "usr/lib/os-release", Text: "ID=\"opensuse-tumbleweed\"\nVERSION_ID=\"20240607\"\n"}},
		"bottlerocket": {{Path: "x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/os-release", Text: "ID=bottlerocket\nVERSION_ID=1.34.0\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := distribution.Decide(&gate.Distribution{Files: files})
			family, release := trivys(t, files)
			if got.Family != family || got.Name != release || got.Problem != "" {
				t.Errorf("Decide: got %+v, Trivy says %s %q", got, family, release)
			}
		})
	}
}

// trivys runs Trivy's analysers over one file after the other, as they merge the
// files of layers.
func trivys(t *testing.T, files []gate.ReleaseFile) (family, release string) {
	t.Helper()
	group, err := analyzer.NewAnalyzerGroup(analyzer.AnalyzerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	result := analyzer.NewAnalysisResult()
	for _, f := range files {
		fsys := fstest.MapFS{f.Path: {Data: []byte(f.Text)}}
		info, err := fs.Stat(fsys, f.Path)
		if err != nil {
			t.Fatal(err)
		}
		open := func() (xio.ReadSeekCloserAt, error) { return xio.NopCloser(bytes.NewReader([]byte(f.Text))), nil }
		var wait errgroup.Group
		if err := group.AnalyzeFile(context.Background(), &wait, semaphore.New(4), result, "", f.Path, info, open, nil, analyzer.AnalysisOptions{Offline: true}); err != nil {
			t.Fatal(err)
		}
		if err := wait.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Contains([]string{"", "debian"}, string(result.OS.Family)) && result.OS.Name == "" {
		t.Errorf("Trivy's analysers say %+v", result.OS)
	}
	return string(result.OS.Family), result.OS.Name
}
