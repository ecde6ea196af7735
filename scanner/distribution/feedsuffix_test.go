package distribution_test

import (
	"testing"

	"github.com/digestgate/digestgate/scanner/distribution"
)

// TestSuffixOf: what the suffix of a version says of the distribution that a feed is said
// to be of.
func TestSuffixOf(t *testing.T) {
	const silent, agrees, contradicts = distribution.SuffixSilent, distribution.SuffixAgrees, distribution.SuffixContradicts
	for _, c := range []struct {
		family, bucket, version string
		want                    distribution.Suffix
	}{
		{distribution.OpenEuler, "openEuler 22.03-LTS-SP3", "3:1.1.1f-15.oe2203sp3", agrees},
		{distribution.OpenEuler, "openEuler 22.03-LTS-SP3", "1.1.1f-15.oe2203", contradicts},
		{distribution.OpenEuler, "openEuler 22.03-LTS", "1.1.1f-15.oe2203", agrees},
		{distribution.OpenEuler, "openEuler 20.03-LTS-SP1", "2.82-5.oe1", agrees},
		{distribution.OpenEuler, "openEuler 22.03-LTS", "2.82-5.oe1", contradicts},
		{distribution.OpenEuler, "openEuler 22.03-LTS", "2.82-5", silent},
		{distribution.OpenEuler, "openEuler 22.03-LTS", "2.82-5.el8", contradicts},
		{distribution.EulerOS, "EulerOS 2.0-SP5", "2.9.1-6.h35.eulerosv2r7", agrees},
		{distribution.EulerOS, "EulerOS 2.0-SP9", "2.9.1-6.h35.eulerosv2r9", agrees},
		{distribution.EulerOS, "EulerOS 2.0-SP9", "2.9.1-6.h35.eulerosv2r10", contradicts},
		{distribution.EulerOS, "EulerOS 2.0-SP9", "2.9.1-6.el7", silent},
		{distribution.HCE, "HCE 2.0", "7.79.1-24.hce2", agrees},
		{distribution.HCE, "HCE 1.1", "7.79.1-24.hce2", contradicts},
		{distribution.HCE, "HCE 2.0", "7.79.1-24.oe2203", silent},
		{distribution.Kylin, "Kylin V10-SP3", "7.71.1-20.ky10", agrees},
		{distribution.Kylin, "Kylin V10-SP3", "7.71.1-20.tl3", contradicts},
		{distribution.UnionTech, "UnionTech OS 20-1060e", "7.71.1-20.uel20", agrees},
		{distribution.UnionTech, "UnionTech OS 20-1060d", "7.74.0-1.3+deb11u1", silent},
		{distribution.Alinux, "Alibaba Cloud Linux 3", "1:1.1.1k-9.0.1.al8", agrees},
		{distribution.Alinux, "Alibaba Cloud Linux 2", "1:1.0.2k-26.0.1.al7", agrees},
		{distribution.Alinux, "Alibaba Cloud Linux 2", "1:1.1.1k-9.0.1.al8", contradicts},
		{distribution.Anolis, "Anolis OS 8", "5.10.134-13.an8", agrees},
		{distribution.Anolis, "Anolis OS 8", "5.10.134-13.an23", contradicts},
		{distribution.Anolis, "Anolis OS 8", "5.10.134-13.el8_9", silent},
		{distribution.TencentOS, "TencentOS Server 4", "1:3.0.12-11.tl4", agrees},
		{distribution.TencentOS, "TencentOS Server 3", "1:3.0.12-11.tl4", contradicts},
		{distribution.OpenCloudOS, "OpenCloudOS 8", "0.10.18-2.oc8.3", agrees},
		{distribution.OpenCloudOS, "OpenCloudOS Stream 23", "0.10.18-2.ocs23", agrees},
		{"almalinux", "alma 9", "0:1.2-3.el9_4.1", agrees},
		{"almalinux", "alma 9", "0:1.2-3.module_el8.9.0+3+a", contradicts},
		{"rocky", "rocky 8", "0:4.18.0-513.el8_9", agrees},
		{"rocky", "rocky 8", "5.10.134-13.an8", contradicts},
		{"oracle", "Oracle Linux 8", "1:10.8.1-1.20.16.0.1.module+el8.10.0+90377+b2d1f3a5.0.1", agrees},
		{"amazon", "amazon linux 2", "1.2-3.amzn2.0.1", agrees},
		{"amazon", "amazon linux 2023", "1.2-3.amzn2", contradicts},
		{"photon", "Photon OS 3.0", "1.2-3.ph3", agrees},
		{"suse", "SUSE Linux Enterprise 15.5", "8.0.1-150400.5.44.1", silent},
		{"debian", "debian 12", "3.0.11-1~deb12u2", silent},
		{"gentoo", "gentoo", "1-2.ky10", silent},
	} {
		if got, says := distribution.SuffixOf(c.family, c.bucket, c.version); got != c.want || (got == contradicts) != (says != "") {
			t.Errorf("SuffixOf(%q, %q, %q): got %v %q, want %v", c.family, c.bucket, c.version, got, says, c.want)
		}
	}
}
