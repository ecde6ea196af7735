package release_test

import (
	"testing"

	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/release"
)

func TestOf(t *testing.T) {
	for word, want := range map[string]string{
		"cpe:/a:openEuler:openEuler:22.03-LTS-SP3": "openEuler 22.03-LTS-SP3", "openEuler-24.03-LTS": "openEuler 24.03-LTS", "openEuler:20.03-LTS-SP1": "openEuler 20.03-LTS-SP1",
		"cpe:2.3:o:openanolis:anolis_os:23:*:*:*:*:*:*:* ": "Anolis OS 23", "Anolis OS 8": "Anolis OS 8",
		"cpe:2.3:o:alibabacloud:alibaba_cloud_linux_2:-:*:*:*:*:*:*:*": "Alibaba Cloud Linux 2", "Alinux 3.2104": "Alibaba Cloud Linux 3", "Alibaba Cloud Linux 2.1903": "Alibaba Cloud Linux 2",
		"OpenCloudOS (v. 8.10)": "OpenCloudOS 8", "OC9-9.2": "OpenCloudOS 9", "TencentOS Server 4": "TencentOS Server 4", "EulerOS:2.0-SP9": "EulerOS 2.0-SP9",
		"Kylin:V10-SP3": "Kylin V10-SP3", "UnionTech OS:20-1060e": "UnionTech OS 20-1060e", "HCE:2.0": "HCE 2.0", "Huawei Cloud EulerOS 2.0": "HCE 2.0",
		"Oracle Linux 9": "Oracle Linux 9", "cpe:/o:suse:sles:15:sp5": "SUSE Linux Enterprise 15.5", "SUSE Linux Enterprise Server 15 SP5-LTSS": "SUSE Linux Enterprise 15.5",
		"SUSE Linux Enterprise Server 16.0": "SUSE Linux Enterprise 16.0", "SUSE Linux Enterprise Module for Basesystem 15 SP1": "SUSE Linux Enterprise 15.1", "SUSE Linux Enterprise Server 12": "SUSE Linux Enterprise 12",
		"SUSE Linux Enterprise Micro 5.5": "SUSE Linux Enterprise Micro 5.5", "SUSE Linux Micro 6.0": "SUSE Linux Enterprise Micro 6.0", "openSUSE Leap 15.6": "openSUSE Leap 15.6",
		"openSUSE Leap Micro 5.4": "openSUSE Leap Micro 5.4", "openSUSE Tumbleweed": "openSUSE Tumbleweed", "Rocky Linux 9": "rocky 9", "AlmaLinux:9": "alma 9", "Ubuntu 18.04-ESM": "ubuntu 18.04-ESM",
		"cpe:/o:redhat:enterprise_linux:9::baseos": "Red Hat",
		// These have packages of their own, or name no release, or are nobody's.
		"SUSE Manager Server 4.3": "", "SUSE Enterprise Storage 7": "", "SUSE Linux Enterprise Storage 7": "", "openEuler": "", "EulerOS 2.0": "", "cpe:/a:acme:x:1": "", "cpe:": "", "": "",
		"An update for vim is now available for openEuler-24.03-LTS": "", "TencentOS Server 4: openssl": "",
	} {
		if got, ok := release.Of(format.Release{word}); got.Bucket != want || ok != (want != "") {
			t.Errorf("Of(%q): got %q %v, want %q", word, got.Bucket, ok, want)
		}
	}
}

func TestNamed(t *testing.T) {
	for _, c := range []struct{ name, release, want string }{
		{"hce", "2.0", "HCE 2.0"}, {"HCE", "1.1", "HCE 1.1"}, {"uos", "20-1060e", "UnionTech OS 20-1060e"}, {"openeuler", "22.03 (LTS-SP3)", "openEuler 22.03-LTS-SP3"}, {"alinux", "3.2104", "Alibaba Cloud Linux 3"},
		{"euleros", "2.0 (SP9)", "EulerOS 2.0-SP9"}, {"kylin", "V10 (Lance)", "Kylin V10-SP3"}, {"rocky", "9", "rocky 9"}, {"almalinux", "8.9", "alma 8"}, {"ol", "9", "Oracle Linux 9"}, {"amzn", "2023", "amazon linux 2023"},
		{"sles", "15 SP5", "SUSE Linux Enterprise 15.5"}, {"photon", "5.0", "Photon OS 5.0"},
		{"fedora", "40", ""}, {"gentoo", "1", ""}, {"hce", "", ""}, {"euleros", "2.0", ""}, {"", "", ""},
	} {
		if got, err := release.Named(c.name, c.release); got.Bucket != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Named(%q, %q): got %q %v, want %q", c.name, c.release, got.Bucket, err, c.want)
		}
	}
}

// TestInText: a title that names one release of the family, and only one.
func TestInText(t *testing.T) {
	for text, want := range map[string]string{
		"TencentOS Server 4: openssl security update": "TencentOS Server 4", "TS3: curl": "TencentOS Server 3", "for TencentOS Server 2 and TencentOS Server 3": "", "openssl": "", "openEuler-24.03-LTS": "",
	} {
		if got, ok := release.InText("tencentos", text); got.Bucket != want && ok || ok != (want != "") {
			t.Errorf("InText(%q): got %q %v, want %q", text, got.Bucket, ok, want)
		}
	}
}
