package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/cmd/digestgate/programtest"

	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// TestCases decides on small images that were once decided wrongly
// (testdata/cases, OCI layouts), with a starter rule against each finding.
func TestCases(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "sources"), os.DirFS("demo/advisories")); err != nil {
		t.Fatal(err)
	}
	write("sources/GHSA-35jh-r3h4-6jhm.json", lodashAdvisory)
	write("deny.rego", `package digestgate

deny contains {"rule": "any-finding", "msg": sprintf("%s in %s", [v.id, v.package])} if some v in input.findings.vulnerabilities
`)
	if code, _, errs := command(t, "advisories", "build", "--from", filepath.Join(dir, "sources"), "--out", filepath.Join(dir, "advisories")); code != 0 {
		t.Fatalf("advisories build: exit %d: %s", code, errs)
	}
	reg, err := fake.Start(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	for name, want := range map[string]struct {
		code int
		text string
	}{
		"1-opaque-root-debian":            {2, "in expat"},
		"2-hardlink-npm":                  {2, "in lodash"},
		"2-hardlink-over-good-dpkg":       {2, "in expat"},
		"3-index-helm-config-schema2":     {2, "in lodash"},
		"3-index-odd-config-beside-arm64": {2, "in lodash"},
		"4-package-json-fixture":          {0, ""},
		"4-package-json-name-with-slash":  {0, ""},
		"5-dir-replaced-by-symlink":       {0, ""},
		"5-file-replaced-by-symlink":      {0, ""},
		"9-config-octet-stream":           {2, "in lodash"},
		"10-config-without-os":            {2, "in lodash"},
		"12-hardlinked-dpkg-only":         {2, "in expat"},
	} {
		t.Run(name, func(t *testing.T) {
			pushLayout(t, reg, name, filepath.Join("testdata/cases", name))
			for _, from := range [][]string{{reg.Host + "/cases/" + name + ":case", "--plain-http"}, {"--input", filepath.Join("testdata/cases", name)}} {
				code, stdout, stderr := command(t, append([]string{"check", "--format", "json", "--set", "advisories.path=" + filepath.Join(dir, "advisories"),
					"--set", "advisories.stale=allow", "--set", "policy.paths=[" + filepath.Join(dir, "deny.rego") + "]"}, from...)...)
				if code != want.code || !strings.Contains(stdout, want.text) {
					t.Errorf("check %q: exit %d, want %d with %q\nstdout: %s\nstderr: %s", from, code, want.code, want.text, stdout, stderr)
				}
			}
		})
	}
}

// pushLayout pushes an OCI image layout under the tag "case" as it is: no byte of
// it is written again.
func pushLayout(t *testing.T, reg *fake.Registry, repo, dir string) {
	t.Helper()
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
	}
	type document struct {
		Manifests []descriptor `json:"manifests"`
	}
	read := func(name string, v any) []byte {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if v != nil {
			if err := json.Unmarshal(raw, v); err != nil {
				t.Fatal(err)
			}
		}
		return raw
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	if err != nil || len(blobs) == 0 {
		t.Fatalf("%s: %v, %d blobs", dir, err, len(blobs))
	}
	for _, b := range blobs {
		if _, err := reg.PutBlob(read("blobs/sha256/"+filepath.Base(b), nil)); err != nil {
			t.Fatal(err)
		}
	}
	var push func(d descriptor, tag string)
	push = func(d descriptor, tag string) {
		var doc document
		raw := read("blobs/"+strings.Replace(d.Digest, ":", "/", 1), &doc)
		for _, child := range doc.Manifests {
			push(child, "")
		}
		if _, err := reg.PutManifest("cases/"+repo, tag, d.MediaType, raw); err != nil {
			t.Fatal(err)
		}
	}
	var index document
	read("index.json", &index)
	push(index.Manifests[0], "case")
}

const lodashAdvisory = `{
  "id": "GHSA-35jh-r3h4-6jhm", "modified": "2026-01-01T00:00:00Z", "published": "2021-05-06T16:05:51Z", "aliases": ["CVE-2021-23337"],
  "summary": "Command Injection in lodash",
  "affected": [{"package": {"ecosystem": "npm", "name": "lodash"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "4.17.21"}]}]}],
  "database_specific": {"severity": "HIGH"}
}
`
