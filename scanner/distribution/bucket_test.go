package distribution_test

import (
	"testing"

	"github.com/digestgate/digestgate/scanner/distribution"
)

// TestBucket: however a release is written, its advisories are in one bucket; what does
// not say which release it is has none.
func TestBucket(t *testing.T) {
	for _, c := range []struct{ family, release, want string }{
		{"openeuler", "22.03 (LTS-SP3)", "openEuler 22.03-LTS-SP3"}, {"openeuler", "22.03-LTS-SP3", "openEuler 22.03-LTS-SP3"},
		{"openeuler", "22.03 LTS", "openEuler 22.03-LTS"}, {"openeuler", "20.03 (LTS)", "openEuler 20.03-LTS"}, {"openeuler", "23.09", "openEuler 23.09"},
		{"openeuler", "24.03-LTS-Next", ""}, {"openeuler", "22", ""}, {"openeuler", "", ""},
		{"euleros", "2.0 (SP9x86_64)", "EulerOS 2.0-SP9"}, {"euleros", "2.0 (SP5)", "EulerOS 2.0-SP5"}, {"euleros", "2.0-SP12", "EulerOS 2.0-SP12"},
		{"euleros", "2.9", "EulerOS 2.0-SP9"}, {"euleros", "2.12", "EulerOS 2.0-SP12"}, {"euleros", "V2R10", "EulerOS 2.0-SP10"},
		{"euleros", "2.0", ""}, {"euleros", "2.0 (SP0)", ""}, {"euleros", "3.0 (SP1)", ""},
		{"hce", "2.0", "HCE 2.0"}, {"hce", "1.1", "HCE 1.1"}, {"hce", "2.0 (x86_64)", "HCE 2.0"}, {"hce", "2", ""},
		{"kylin", "V10 (Tercel)", "Kylin V10-SP1"}, {"kylin", "V10 (Sword)", "Kylin V10-SP2"}, {"kylin", "V10 (Lance)", "Kylin V10-SP3"},
		{"kylin", "V10 (Halberd)", "Kylin V10-SP3"}, {"kylin", "V10SP2", "Kylin V10-SP2"}, {"kylin", "V10 (SP3) /(Lance)-x86_64-Build23/20230324", "Kylin V10-SP3"},
		{"kylin", "V10", ""}, {"kylin", "V4 (SP2)", ""}, {"kylin", "V10 (Azalea)", ""},
		{"uniontech", "20-1060e", "UnionTech OS 20-1060e"}, {"uniontech", "20.1050E", "UnionTech OS 20-1050e"}, {"uniontech", "20 1060d", "UnionTech OS 20-1060d"}, {"uniontech", "20", ""},
		{"alinux", "3", "Alibaba Cloud Linux 3"}, {"alinux", "3.2104", "Alibaba Cloud Linux 3"}, {"alinux", "2.1903", "Alibaba Cloud Linux 2"},
		{"anolis", "8.8", "Anolis OS 8"}, {"anolis", "23", "Anolis OS 23"}, {"anolis", "7_els", "Anolis OS 7"},
		{"tencentos", "3.1 (Final)", "TencentOS Server 3"}, {"tencentos", "4.2", "TencentOS Server 4"}, {"opencloudos", "8.6", "OpenCloudOS 8"},
		{"opencloudos", "Stream 23", "OpenCloudOS Stream 23"}, {"opencloudos", "9", "OpenCloudOS 9"}, {"anolis", "rolling", ""},
		{"debian", "12", ""}, {"", "", ""},
	} {
		got, ok := distribution.Bucket(c.family, c.release)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("Bucket(%q, %q): got %q, %v, want %q", c.family, c.release, got, ok, c.want)
		}
	}
	for text, want := range map[string]string{
		"openEuler:22.03-LTS-SP3": "openEuler 22.03-LTS-SP3", "openEuler-24.03-LTS": "openEuler 24.03-LTS", "Alinux 3.2104": "Alibaba Cloud Linux 3",
		"Alibaba Cloud Linux 3": "Alibaba Cloud Linux 3", "OC8-8.10": "OpenCloudOS 8", "OC9-9.2": "OpenCloudOS 9", "OpenCloudOS Stream 23": "OpenCloudOS Stream 23",
		"TencentOS Server 4": "TencentOS Server 4", "TS4": "TencentOS Server 4", "Anolis OS 8": "Anolis OS 8", "Kylin V10 SP3": "Kylin V10-SP3",
		"Kylin Linux Advanced Server V10 (Sword)": "Kylin V10-SP2", "EulerOS 2.0 SP9": "EulerOS 2.0-SP9", "EulerOS V2.0SP9": "EulerOS 2.0-SP9", "HCE 2.0": "HCE 2.0",
		"UnionTech OS Server 20 1060e": "UnionTech OS 20-1060e", "Unity Linux 20.1060e": "UnionTech OS 20-1060e", "UnionTech OS 20-1050d": "UnionTech OS 20-1050d",
		"EulerOS Virtualization 2.9.0": "", "Antergos 8": "", "oclinux 8": "", "openEuler": "", "Debian:12": "", "": "",
	} {
		if got, ok := distribution.Product(text); ok != (want != "") || ok && got != want {
			t.Errorf("Product(%q): got %q, %v, want %q", text, got, ok, want)
		}
	}
}
