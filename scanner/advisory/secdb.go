package advisory

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/bucket"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"
	apkver "github.com/knqyf263/go-apk-version"
)

// secdb is one file of Alpine's security database
// (https://secdb.alpinelinux.org): the fixes of one repository of one release.
type secdb struct {
	DistroVersion string `json:"distroversion" yaml:"distroversion"`
	Packages      []struct {
		Pkg struct {
			Name     string              `json:"name" yaml:"name"`
			SecFixes map[string][]string `json:"secfixes" yaml:"secfixes"`
		} `json:"pkg" yaml:"pkg"`
	} `json:"packages" yaml:"packages"`
}

// alpineRelease is "v3.19", "3.19" or "edge".
var alpineRelease = regexp.MustCompile(`^(v?[0-9]+\.[0-9]+|edge)$`)

// alpineID finds identifiers as Alpine's maintainers write them ("CVE 2018-1",
// "CVE_2019-2426", "CVE-2017-2616 (+ regression fix)").
var alpineID = regexp.MustCompile(`(?:CVE[-_ ][0-9]{4}-[0-9]{1,10}|GHSA(?:-[0-9a-z]{4}){3})`)

func alpineSource() types.DataSource {
	return types.DataSource{ID: vulnerability.Alpine, Name: "Alpine Secdb", URL: "https://secdb.alpinelinux.org/"}
}

// parseSecdb reads one file. Entries without an identifier that an advisory
// could be filed under (XSA-…, ZBX-…) are counted as skipped.
func (c *collection) parseSecdb(doc document) error {
	var s secdb
	if err := doc.decode(&s, false); err != nil {
		return err
	}
	if !alpineRelease.MatchString(s.DistroVersion) {
		return fmt.Errorf("field distroversion: got %q, want v3.19 or edge", s.DistroVersion)
	}
	release := strings.TrimPrefix(s.DistroVersion, "v")
	b := c.bucket(bucket.NewAlpine(release).Name(), alpineSource())
	b.heard("Alpine secdb", time.Time{})
	for i, p := range s.Packages {
		if p.Pkg.Name == "" {
			return fmt.Errorf("field packages[%d].pkg.name: is empty", i)
		}
		for version, entries := range p.Pkg.SecFixes {
			// "0" lists what never affected the package.
			if version == "0" {
				continue
			}
			if _, err := apkver.NewVersion(version); err != nil {
				return fmt.Errorf("field packages[%d].pkg.secfixes of %q: version %q: %w", i, p.Pkg.Name, version, err)
			}
			for _, entry := range entries {
				c.addSecfix(b, p.Pkg.Name, version, entry)
			}
		}
	}
	return nil
}

func (c *collection) addSecfix(b *bucketData, pkg, version, entry string) {
	ids := alpineID.FindAllString(entry, -1)
	if len(ids) == 0 {
		c.skipped["Alpine fixes without a CVE or GHSA identifier"]++
		return
	}
	// An entry may give one vulnerability under both names; the CVE is the one
	// that other sources know.
	if cves := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !strings.HasPrefix(id, "CVE") }); len(cves) > 0 {
		ids = cves
	}
	for _, id := range ids {
		if strings.HasPrefix(id, "CVE") {
			id = "CVE-" + id[4:]
		}
		b.put(pkg, id, types.Advisory{FixedVersion: version}, laterAlpineFix)
	}
}

// laterAlpineFix keeps the later of two fixed versions: the earlier fix was not
// enough.
func laterAlpineFix(old, adv types.Advisory) types.Advisory {
	a, errA := apkver.NewVersion(old.FixedVersion)
	b, errB := apkver.NewVersion(adv.FixedVersion)
	if errA == nil && errB == nil && a.LessThan(b) {
		return adv
	}
	return old
}
