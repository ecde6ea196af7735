package advisory

import (
	"strings"

	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"

	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/release"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// detector is what a detector of Trivy makes of a row (pkg/detector/ospkg, v0.74.0).
type detector struct {
	names     format.Names // that it looks up
	modules   bool         // it looks up "nodejs:20::npm"
	unfixed   bool         // it shows a row without a version
	severity  bool         // it takes the severity from the row
	epochless bool         // the distribution has no package with an epoch
}

// detectors of the families that Trivy matches. Digestgate's own takes all that a
// statement has.
var detectors = map[string]detector{
	release.Alma:    {modules: true},
	release.Rocky:   {modules: true},
	release.Oracle:  {},
	release.Amazon:  {},
	release.SUSE:    {epochless: true}, // openSUSE Package Naming Guidelines: no epochs
	release.Azure:   {names: format.Source, unfixed: true},
	release.Mariner: {names: format.Source, unfixed: true},
	release.Photon:  {names: format.Source},
	release.Debian:  {names: format.Source, unfixed: true, severity: true, epochless: true},
	release.Ubuntu:  {names: format.Source, unfixed: true, epochless: true},
}

// vendors are the publishers of the families, by the word for the family.
var vendors = map[string]types.DataSource{
	release.Alma:    {ID: vulnerability.Alma, Name: "AlmaLinux Product Errata", URL: "https://errata.almalinux.org/"},
	release.Rocky:   {ID: vulnerability.Rocky, Name: "Rocky Linux updateinfo", URL: "https://download.rockylinux.org/pub/rocky/"},
	release.Oracle:  {ID: vulnerability.OracleOVAL, Name: "Oracle Linux OVAL definitions", URL: "https://linux.oracle.com/security/oval/"},
	release.Amazon:  {ID: vulnerability.Amazon, Name: "Amazon Linux Security Center", URL: "https://alas.aws.amazon.com/"},
	release.SUSE:    {ID: vulnerability.SuseCVRF, Name: "SUSE CVRF", URL: "https://ftp.suse.com/pub/projects/security/cvrf/"},
	release.Azure:   {ID: vulnerability.AzureLinux, Name: "Azure Linux Vulnerability Data", URL: "https://github.com/microsoft/AzureLinuxVulnerabilityData"},
	release.Mariner: {ID: vulnerability.CBLMariner, Name: "CBL-Mariner Vulnerability Data", URL: "https://github.com/microsoft/AzureLinuxVulnerabilityData"},
	release.Photon:  {ID: vulnerability.Photon, Name: "Photon OS CVE metadata", URL: "https://packages.vmware.com/photon/photon_cve_metadata/"},
	release.Debian:  debianSource(),
	release.Ubuntu:  {ID: vulnerability.Ubuntu, Name: "Ubuntu CVE Tracker", URL: "https://git.launchpad.net/ubuntu-cve-tracker"},

	distribution.OpenEuler:   {ID: distribution.OpenEuler, Name: "openEuler Security Advisories", URL: "https://repo.openeuler.org/security/data/"},
	distribution.EulerOS:     {ID: distribution.EulerOS, Name: "EulerOS Security Advisories", URL: "https://developer.huaweicloud.com/intl/en-us/euleros/securitylist.html"},
	distribution.HCE:         {ID: distribution.HCE, Name: "Huawei Cloud EulerOS updateinfo", URL: "https://repo.huaweicloud.com/hce/"},
	distribution.Kylin:       {ID: distribution.Kylin, Name: "Kylin Security Advisories", URL: "https://www.kylinos.cn/support/loophole/patch.html"},
	distribution.UnionTech:   {ID: distribution.UnionTech, Name: "UnionTech OS Security Advisories", URL: "https://src.uniontech.com/#/security_advisory"},
	distribution.Alinux:      {ID: distribution.Alinux, Name: "Alibaba Cloud Linux Security Center", URL: "https://alas.aliyun.com/"},
	distribution.Anolis:      {ID: distribution.Anolis, Name: "Anolis OS Security Advisories", URL: "https://anas.openanolis.cn/"},
	distribution.TencentOS:   {ID: distribution.TencentOS, Name: "TencentOS Server Security Advisories", URL: "https://mirrors.tencent.com/tlinux/errata/"},
	distribution.OpenCloudOS: {ID: distribution.OpenCloudOS, Name: "OpenCloudOS Security Advisories", URL: "https://security.opencloudos.tech/"},
}

func vendorSource(family string) types.DataSource { return vendors[family] }

// familyOf is the family of a bucket of one that Trivy matches.
func familyOf(bucket string) string {
	switch {
	case strings.HasPrefix(bucket, "debian "):
		return release.Debian
	case strings.HasPrefix(bucket, "ubuntu "):
		return release.Ubuntu
	}
	return ""
}
