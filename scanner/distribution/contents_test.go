package distribution_test

import (
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// TestContents_release: nothing in the versions of these distributions' packages
// names the release, but the package of the release files does. An older release
// than the true one matches nothing.
func TestContents_release(t *testing.T) {
	for name, c := range map[string]struct {
		family, release string
		pkg             gate.Package
		says            string
	}{
		"alpine":           {"alpine", "3.10.2", gate.Package{Name: "alpine-release", Version: "3.18.4-r0", AnalyzedBy: "apk"}, "alpine-release is of release 3.18.4-r0"},
		"alpine_base":      {"alpine", "3.10.2", gate.Package{Name: "alpine-base", Version: "3.18.4-r0", AnalyzedBy: "apk"}, "but the release files say Alpine 3.10.2"},
		"alpine_same":      {"alpine", "3.18.6", gate.Package{Name: "alpine-release", Version: "3.18.4-r0", AnalyzedBy: "apk"}, ""},
		"alpine_layout":    {"alpine", "3.18.6", gate.Package{Name: "alpine-baselayout", Version: "3.4.3-r1", AnalyzedBy: "apk"}, ""},
		"sles":             {"sles", "12.5", gate.Package{Name: "sles-release", Version: "15.5", Release: "150500.43.2", AnalyzedBy: "rpm"}, "sles-release is of release 15.5-150500.43.2"},
		"sles_same":        {"sles", "15.5", gate.Package{Name: "sles-release", Version: "15.5", Release: "150500.43.2", AnalyzedBy: "rpm"}, ""},
		"leap":             {"opensuse-leap", "42.3", gate.Package{Name: "Leap-release", Version: "15.5", AnalyzedBy: "rpm"}, "Leap-release"},
		"redhat_6":         {"redhat", "6.10", gate.Package{Name: "redhat-release-server", Version: "6Server", Release: "6.10.0.3.el6", AnalyzedBy: "rpm"}, ""},
		"centos_7":         {"centos", "7.9.2009", gate.Package{Name: "centos-release", Version: "7", Release: "9.2009.1.el7.centos", AnalyzedBy: "rpm"}, ""},
		"amazon_1":         {"amazon", "AMI release 2018.03", gate.Package{Name: "system-release", Version: "2018.03", Release: "0.0.amzn1", AnalyzedBy: "rpm"}, ""},
		"amazon_2":         {"amazon", "2 (Karoo)", gate.Package{Name: "system-release", Version: "2", Release: "16.amzn2", AnalyzedBy: "rpm"}, ""},
		"tumbleweed":       {"opensuse-tumbleweed", "20240101", gate.Package{Name: "openSUSE-release", Version: "20240202", AnalyzedBy: "rpm"}, ""},
		"rpm_manifest":     {"debian", "12", gate.Package{Name: "openssl-libs", Version: "1.1.1k", Release: "12.cm2", AnalyzedBy: "rpmqa"}, "installed by rpm"},
		"rpm_manifest_own": {"cbl-mariner", "2.0", gate.Package{Name: "openssl-libs", Version: "1.1.1k", Release: "12.cm2", AnalyzedBy: "rpmqa"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := distribution.Contents(c.family, c.release, nil, []gate.Package{c.pkg}, false)
			if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
				t.Errorf("got %q, want %q", got, c.says)
			}
		})
	}
}
