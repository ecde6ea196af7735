package analyzer_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer"
)

// The tests in this file run the real child on real files.

const debianRelease = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n"

const dpkgStatus = `Package: libc6
Status: install ok installed
Priority: optional
Section: libs
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u4
Description: GNU C Library

Package: openssl
Status: install ok installed
Maintainer: Debian OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>
Architecture: amd64
Version: 3.0.11-1~deb12u1
Description: Secure Sockets Layer toolkit

`

const apkInstalled = `C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=
P:musl
V:1.2.4-r2
A:x86_64
S:389000
I:634880
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
F:lib
R:ld-musl-x86_64.so.1

`

var debianFiles = []entry{
	file("etc/os-release", debianRelease),
	file("etc/debian_version", "12.4\n"),
	file("var/lib/dpkg/status", dpkgStatus),
}

// awsKey and privateKey are made up; they only have the form. They are put
// together here so that no scanner finds them in this file.
var (
	awsKey     = "AKIA" + "Q3EGRIR5ZXK7TWN2"
	privateKey = "-----BEGIN RSA " + "PRIVATE KEY-----\n" + strings.Repeat("MIIEowIBAAKCAQEAx5Zq3LhUoAQcS1vCjUxyO0fKkHdDcmVJTnMhqJg0f2lZbXWx\n", 6) + "-----END RSA PRIVATE KEY-----\n"
)

func names(inv *gate.Inventory) []string {
	var out []string
	for _, p := range inv.Packages {
		out = append(out, p.Name+"@"+p.Version+dash(p.Release))
	}
	for _, a := range inv.Applications {
		for _, p := range a.Packages {
			out = append(out, a.Type+":"+p.Name+"@"+p.Version)
		}
	}
	slices.Sort(out)
	return out
}

func dash(release string) string {
	if release == "" {
		return ""
	}
	return "-" + release
}

// zipped makes an archive of the files; names in it must be unique.
func zipped(t testing.TB, files ...entry) string {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, f := range files {
		e, err := w.Create(f.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(e, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func pom(group, artifact, version string) entry {
	return file("META-INF/maven/"+group+"/"+artifact+"/pom.properties", "groupId="+group+"\nartifactId="+artifact+"\nversion="+version+"\n")
}

func TestRealPackages(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		layers    [][]entry
		want      []string // all packages
		some      []string // these are among them
		os        gate.OS
		distro    bool
		database  bool
		partial   string // part of the reason why vulnerabilities are partial
		overrides map[string]any
	}{
		"debian": {layers: [][]entry{debianFiles}, want: []string{"libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u1"},
			os: gate.OS{Family: "debian", Name: "12.4"}, distro: true, database: true},
		"debian_below_dotdot": {layers: [][]entry{{
			file("./etc/os-release", debianRelease), file("../../etc/debian_version", "12.4\n"), file("/var/lib/../lib/dpkg/status", dpkgStatus)}},
			want: []string{"libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u1"}, os: gate.OS{Family: "debian", Name: "12.4"}, distro: true, database: true},
		"alpine": {layers: [][]entry{{file("etc/alpine-release", "3.18.4\n"), file("lib/apk/db/installed", apkInstalled)}},
			want: []string{"musl@1.2.4-r2"}, os: gate.OS{Family: "alpine", Name: "3.18.4"}, distro: true, database: true},
		"scratch":          {layers: [][]entry{{file("app", "#!/bin/false")}}},
		"no_layer_content": {layers: [][]entry{{}}},
		"database_deleted_by_whiteout": {layers: [][]entry{debianFiles, {file("var/lib/dpkg/.wh.status", "")}},
			os: gate.OS{Family: "debian", Name: "12.4"}, distro: true},
		"database_directory_opaque": {layers: [][]entry{debianFiles, {file("var/lib/dpkg/.wh..wh..opq", "")}},
			os: gate.OS{Family: "debian", Name: "12.4"}, distro: true},
		"root_opaque": {layers: [][]entry{debianFiles, {file(".wh..wh..opq", ""), file("app", "x")}}, // overlayfs ignores it
			want: []string{"libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u1"}, os: gate.OS{Family: "debian", Name: "12.4"}, distro: true, database: true},
		"database_emptied": {layers: [][]entry{debianFiles, {file("var/lib/dpkg/status", "")}},
			os: gate.OS{Family: "debian", Name: "12.4"}, distro: true},
		"database_is_link": {layers: [][]entry{{file("etc/os-release", debianRelease), file("etc/debian_version", "12.4\n"),
			{name: "var/lib/dpkg/status", kind: tar.TypeSymlink, link: "/opt/status"}, file("opt/status", dpkgStatus)}},
			want: []string{"libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u1"}, os: gate.OS{Family: "debian", Name: "12.4"}, distro: true, database: true},
		"upgraded_above": {layers: [][]entry{debianFiles, {file("var/lib/dpkg/status", strings.Replace(dpkgStatus, "3.0.11-1~deb12u1", "3.0.11-1~deb12u2", 1))}},
			want: []string{"libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u2"}, os: gate.OS{Family: "debian", Name: "12.4"}, distro: true, database: true},
		"npm": {layers: [][]entry{{file("app/node_modules/lodash/package.json", `{"name":"lodash","version":"4.17.20","license":"MIT"}`)}},
			want: []string{"node-pkg:lodash@4.17.20"}},
		"python": {layers: [][]entry{{file("usr/local/lib/python3.12/site-packages/requests-2.31.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\n")}},
			want: []string{"python-pkg:requests@2.31.0"}},
		"python_owned_by_dpkg": {layers: [][]entry{slices.Concat(debianFiles, []entry{
			file("usr/lib/python3/dist-packages/yaml-6.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: PyYAML\nVersion: 6.0\n"),
			file("app/evil-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n"),
			file("var/lib/dpkg/info/libc6.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/lib/python3/dist-packages/yaml-6.0.dist-info/METADATA\n"+
				"d41d8cd98f00b204e9800998ecf8427e  app/evil-1.0.dist-info/METADATA\n"),
		})}, want: []string{"libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u1", "python-pkg:evil@1.0"},
			os: gate.OS{Family: "debian", Name: "12.4"}, distro: true, database: true},
		"go_binary": {layers: [][]entry{{{name: "usr/local/bin/app", mode: 0o755, body: string(program)}}},
			some: []string{"gobinary:stdlib@", "gobinary:github.com/digestgate/digestgate@"}},
		"jar": {layers: [][]entry{{file("app/log4j-core-2.14.1.jar", zipped(t, pom("org.apache.logging.log4j", "log4j-core", "2.14.1")))}},
			want: []string{"jar:org.apache.logging.log4j:log4j-core@2.14.1"}},
		"jar_renamed": {layers: [][]entry{{file("app/app.jar", zipped(t, pom("com.example", "app", "1.0"),
			file("BOOT-INF/lib/log4j-core-2.14.1.jar", zipped(t, pom("org.apache.logging.log4j", "log4j-core", "2.14.1")))))}},
			want: []string{"jar:com.example:app@1.0", "jar:org.apache.logging.log4j:log4j-core@2.14.1"}},
		"jar_without_name": {layers: [][]entry{{file("app/log4j-core-2.14.1.jar", zipped(t, file("Log4j.class", "x")))}},
			partial: "it does not name itself"},
		"jar_broken": {layers: [][]entry{{file("app/x.jar", "PK\x03\x04 this is no archive")}}, partial: `"app/x.jar" (jar: `},
		"jar_inside_broken": {layers: [][]entry{{file("app/a-1.jar", zipped(t, pom("g", "a", "1"), file("lib/b-2.jar", "nonsense")))}},
			want: []string{"jar:g:a@1"}, partial: `"app/a-1.jar" (jar: lib/b-2.jar inside it: `},
		"unreadable_file": {layers: [][]entry{{file("app/node_modules/a/package.json", `{"name":`), file("app/node_modules/b/package.json", `{"name":"b","version":"1.0.0"}`)}},
			want: []string{"node-pkg:b@1.0.0"}, partial: `one gap, the first is "app/node_modules/a/package.json" (node-pkg: `},
		"unreadable_file_removed_above": {layers: [][]entry{
			{file("app/node_modules/a/package.json", `{"name":`), file("app/node_modules/b/package.json", `{"name":"b","version":"1.0.0"}`)},
			{file("app/node_modules/.wh.a", "")}}, want: []string{"node-pkg:b@1.0.0"}},
		"rpm_database_broken": {layers: [][]entry{{file("etc/redhat-release", "Rocky Linux release 9.3 (Blue Onyx)\n"), file("var/lib/rpm/rpmdb.sqlite", "SQLite format 3\x00 and nothing")}},
			os: gate.OS{Family: "rocky", Name: "9.3"}, distro: true, partial: `"var/lib/rpm/rpmdb.sqlite" (rpm: `},
		"sbom_is_not_believed": {layers: [][]entry{{file("opt/bitnami/x/.spdx-x.spdx", "SPDXVersion: SPDX-2.3\n"),
			file("app/bom.cdx.json", `{"bomFormat":"CycloneDX","specVersion":"1.4","components":[{"type":"library","name":"fake","version":"1","purl":"pkg:npm/fake@1"}]}`)}},
			partial: "x of Bitnami is installed"},
		"long_path": {layers: [][]entry{{file(strings.Repeat("long/", 3000)+"name", "x"), file("app/node_modules/b/package.json", `{"name":"b","version":"1.0.0"}`)}},
			want: []string{"node-pkg:b@1.0.0"}},
		"links_and_devices": {layers: [][]entry{{
			{name: "etc/passwd", kind: tar.TypeSymlink, link: "../../../../etc/shadow"}, {name: "hard", kind: tar.TypeLink, link: "../../etc/passwd"},
			{name: "dev/null", kind: tar.TypeChar}, {name: "fifo", kind: tar.TypeFifo}, {name: "dir/", kind: tar.TypeDir, mode: 0o755},
			file("new\nline", "x"), file(`..\..\x`, "x"), file("trivy.yaml", "scan:\n  offline: false\n"), file(".trivyignore", "CVE-1")}}},
	}
	src := &source{}
	a := withRealChild(t, src, nil)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			layers := tarLayers(t, tt.layers)
			inv := analyze(t, a, src.add(layers, tt.overrides))
			got := names(inv)
			if tt.some == nil {
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("packages (-want +got):\n%s", diff)
				}
			}
			for _, want := range tt.some {
				if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
					t.Errorf("%q is not among %q", want, got)
				}
			}
			if inv.OS.Family != tt.os.Family || inv.OS.Name != tt.os.Name {
				t.Errorf("OS: got %+v, want %+v", inv.OS, tt.os)
			}
			if inv.DistributionFiles != tt.distro || inv.PackageDatabase != tt.database {
				t.Errorf("distribution files %v, database %v; want %v, %v", inv.DistributionFiles, inv.PackageDatabase, tt.distro, tt.database)
			}
			wantCoverage(t, inv, gate.RiskVulnerabilities, tt.partial)
			wantCoverage(t, inv, gate.RiskSecrets, "")
		})
	}
}

func wantCoverage(t *testing.T, inv *gate.Inventory, risk gate.Risk, partial string) {
	t.Helper()
	want := gate.Complete
	if partial != "" {
		want = gate.Partial
	}
	if got := inv.Risks[risk]; got.Coverage != want || !strings.Contains(got.Reason, partial) {
		t.Errorf("coverage of %s: got %+v, want %s because of %q", risk, got, want, partial)
	}
}

func TestRealSecrets(t *testing.T) {
	src := &source{}
	layers := []layer{
		tarLayer(t,
			file("root/.ssh/id_rsa", privateKey),
			file("srv/app.conf", "region = eu-west-1\naws_access_key_id = "+awsKey+"\n"),
			file("srv/big.log", awsKeyLine()+strings.Repeat("nothing to see here\n", 1<<20+1<<16)),
			file("srv/left/out.conf", awsKeyLine()),
			file("srv/binary", "\x00\x01\x02\x03"+awsKeyLine()),
		),
		// Removed above, but still in the image for who looks.
		tarLayer(t, file("root/.ssh/.wh.id_rsa", "")),
	}
	d := src.add(layers, map[string]any{"config": map[string]any{"Env": []string{"AWS_ACCESS_KEY_ID=" + awsKey}}})
	a := withRealChild(t, src, func(o *analyzer.Options) { o.Config.Secrets.SkipPaths = []string{"/srv/left/**"} })
	inv := analyze(t, a, d)
	type place struct {
		Rule, Path string
		Line       int
		Layer      gate.Digest
	}
	var got []place
	for _, s := range inv.Secrets {
		got = append(got, place{s.Rule, s.Path, s.StartLine, s.Layer})
	}
	want := []place{
		{"private-key", "/root/.ssh/id_rsa", 2, layers[0].diffID},
		{"aws-access-key-id", "/srv/app.conf", 2, layers[0].diffID},
		{"aws-access-key-id", "config.json", 0, ""},
	}
	for i := range got {
		if got[i].Path == "config.json" {
			got[i].Line = 0
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	wantSkipped := []gate.Skip{
		{Risk: gate.RiskSecrets, Reason: "binary file", Files: 1},
		{Risk: gate.RiskSecrets, Reason: "matches scan.secrets.skipPaths", Pattern: "/srv/left/**", Files: 1},
		{Risk: gate.RiskSecrets, Path: "srv/big.log", Reason: "larger than scan.secrets.maxFileBytes (20MiB)"},
	}
	for i := range inv.Skipped {
		inv.Skipped[i].Size = 0
	}
	if diff := cmp.Diff(wantSkipped, inv.Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	wantCoverage(t, inv, gate.RiskSecrets, "")
	// The environment is recorded as configuration; the files' secrets nowhere.
	inv.Config = gate.ImageConfig{}
	raw, err := json.Marshal(inv)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte(awsKey)) || bytes.Contains(raw, []byte("MIIEow")) {
		t.Error("the inventory holds the secret itself")
	}
}

// TestRealSecrets_everywhere: paths are left out by scan.secrets.skipPaths and by
// nothing else, and what is left out is said.
func TestRealSecrets_everywhere(t *testing.T) {
	paths := []string{
		"app/a_test.go", "app/docs/README.md", "app/example.conf", "app/locale/x", "app/node_modules/a/index.js", "app/yarn.lock", "opt/yarn-v1.22/x",
		"test/keys", "usr/lib/x.conf", "usr/local/lib/python3.11/x.py", "usr/share/x.conf", "vendor/x.conf", "x.dist-info/x", "x.png",
	}
	var files []entry
	for _, p := range paths {
		files = append(files, file(p, awsKeyLine()))
	}
	src := &source{}
	d := src.add([]layer{tarLayer(t, append(files, file("srv/x.conf", awsKeyLine()))...), tarLayer(t, file("usr/share/y.conf", awsKeyLine()))}, nil)

	all := analyze(t, withRealChild(t, src, func(o *analyzer.Options) { o.Config.Secrets.SkipPaths = []string{} }), d)
	found := map[string]bool{}
	for _, s := range all.Secrets {
		found[s.Path] = true
	}
	for _, p := range append(paths, "srv/x.conf", "usr/share/y.conf") {
		if !found["/"+p] {
			t.Errorf("skipPaths []: no secret is found in %s", p)
		}
	}
	if len(all.Skipped) > 0 || all.Risks[gate.RiskSecrets] != (gate.RiskStatus{Coverage: gate.Complete}) {
		t.Errorf("skipPaths []: got skipped %+v, risks %+v", all.Skipped, all.Risks)
	}

	inv := analyze(t, withRealChild(t, src, nil), d)
	if len(inv.Secrets) != 1 || inv.Secrets[0].Path != "/srv/x.conf" {
		t.Errorf("default: got secrets %+v, want srv/x.conf alone", inv.Secrets)
	}
	skipped := map[string]int{}
	for _, s := range inv.Skipped {
		if s.Path != "" || s.Size < int64(s.Files*len(awsKeyLine())) {
			t.Errorf("default: skipped %+v", s)
		}
		skipped[s.Pattern] = s.Files
	}
	if skipped["usr/share/**"] != 2 || skipped["**/*.md"] != 1 || len(skipped) != len(paths) {
		t.Errorf("default: got skipped %v, want one for each path and two for usr/share", skipped)
	}
	if s := inv.Risks[gate.RiskSecrets]; s.Coverage != gate.Complete || !strings.HasPrefix(s.Reason, "stated limits left out 15 files") {
		t.Errorf("default: got %+v, want complete with what is left out", s)
	}
}

func awsKeyLine() string { return "aws_access_key_id = " + awsKey + "\n" }

func TestRealCachedSecretsAreCensored(t *testing.T) {
	src := &source{}
	var dataDir string
	a := withRealChild(t, src, func(o *analyzer.Options) { dataDir = o.DataDir })
	analyze(t, a, src.add([]layer{tarLayer(t, file("srv/app.conf", awsKeyLine()))}, nil))
	found := 0
	dec, _ := zstd.NewReader(nil)
	defer dec.Close()
	for _, f := range cacheFiles(t, dataDir) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		body, _, _ := bytes.Cut(b, []byte("\ndigestgate-layer-")) // the foot
		plain, err := dec.DecodeAll(body, nil)
		if err != nil {
			t.Fatal(err)
		}
		found += bytes.Count(plain, []byte("aws-access-key-id"))
		if bytes.Contains(plain, []byte(awsKey)) {
			t.Error("the layer cache holds the secret itself")
		}
	}
	if found == 0 {
		t.Error("the secret's place is not in the layer cache either")
	}
}

func TestRealCompressions(t *testing.T) {
	raw := archive(t, debianFiles...)
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	two := append(gzipped(t, raw[:700]), gzipped(t, raw[700:])...)
	src := &source{}
	a := withRealChild(t, src, nil)
	for name, blob := range map[string][]byte{"plain": raw, "gzip": gzipped(t, raw), "two_gzip_members": two, "zstd": enc.EncodeAll(raw, nil)} {
		t.Run(name, func(t *testing.T) {
			inv := analyze(t, a, src.add([]layer{{blob, digestOf(raw)}}, nil))
			if len(inv.Packages) != 2 {
				t.Errorf("got %q", names(inv))
			}
		})
	}
}

// TestRealBadLayers: layers that are not what they should be fail with a text
// that says how, and leave nothing.
func TestRealBadLayers(t *testing.T) {
	raw := archive(t, debianFiles...)
	zeroes := make([]byte, 64<<20)
	bomb := archive(t, entry{name: "zeroes", body: string(zeroes)})
	tests := map[string]struct {
		layer layer
		class error
		text  string
	}{
		"no_gzip":        {layer{[]byte("\x1f\x8b nonsense"), digestOf(raw)}, gate.ErrScanFailed, "the layer is not a valid gzip"},
		"broken_gzip":    {layer{gzipped(t, raw)[:200], digestOf(raw)}, gate.ErrScanFailed, "unpacking the layer"},
		"no_archive":     {layer{gzipped(t, []byte(strings.Repeat("nonsense", 1000))), digestOf(raw)}, gate.ErrScanFailed, "the layer is not a valid archive"},
		"cut_archive":    {layer{gzipped(t, raw[:2700]), digestOf(raw[:2700])}, gate.ErrScanFailed, "reading a file in the layer: unexpected EOF"},
		"other_diff_id":  {layer{gzipped(t, raw), digestOf(raw[1:])}, gate.ErrIntegrity, "unpacks to sha256:"},
		"gzip_bomb":      {layer{gzipped(t, bomb), digestOf(bomb)}, gate.ErrUnassessable, "the layer unpacks to more than 16MiB"},
		"trailing_bytes": {layer{gzipped(t, append(slices.Clone(raw), "after the end"...)), digestOf(raw)}, gate.ErrIntegrity, "unpacks to sha256:"},
	}
	src := &source{}
	a := withRealChild(t, src, func(o *analyzer.Options) { o.Config.MaxImageBytes = 4 << 20 })
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { wantError(t, a, src.add([]layer{tt.layer}, nil), tt.class, tt.text) })
	}
	t.Run("bombs_in_many_layers", func(t *testing.T) {
		var layers []layer
		for i := range 4 {
			layers = append(layers, tarLayer(t, entry{name: string(rune('a' + i)), body: string(zeroes[:5<<20])}))
		}
		wantError(t, a, src.add(layers, nil), gate.ErrUnassessable, "layer 4 of 4: the layer unpacks to more than")
	})
	t.Run("zip_bomb_inside", func(t *testing.T) {
		// 60 MiB in an archive in an archive: over the limit for temporary
		// files, so the archive counts as not read.
		inner := zipped(t, file("x.class", string(zeroes[:60<<20])))
		jar := zipped(t, pom("g", "bomb", "1"), file("lib/inner-1.jar", inner), file("lib/huge-1.jar", string(zeroes[:60<<20])))
		inv := analyze(t, a, src.add([]layer{tarLayer(t, file("app/bomb-1.jar", jar))}, nil))
		if inv.Risks[gate.RiskVulnerabilities].Coverage != gate.Partial {
			t.Errorf("got %+v", inv.Risks[gate.RiskVulnerabilities])
		}
	})
}

func TestRealConfig(t *testing.T) {
	src := &source{}
	d := src.add([]layer{tarLayer(t, file("a", "b"))}, map[string]any{
		"variant": "v2",
		"config": map[string]any{"User": "app", "Entrypoint": []string{"/e"}, "Cmd": []string{"c"}, "Env": []string{"A=1"},
			"ExposedPorts": map[string]any{"80/tcp": struct{}{}, "443/tcp": struct{}{}}, "Volumes": map[string]any{"/v": struct{}{}},
			"WorkingDir": "/w", "Labels": map[string]string{"l": "<script>"}, "StopSignal": "SIGINT"},
		"history": []map[string]any{{"created": "2026-10-01T00:00:00Z", "created_by": "RUN x", "comment": "c"}, {"created_by": "ENV A=1", "empty_layer": true}},
	})
	inv := analyze(t, withRealChild(t, src, nil), d)
	want := gate.ImageConfig{User: "app", Entrypoint: []string{"/e"}, Cmd: []string{"c"}, Env: []string{"A=1"}, ExposedPorts: []string{"443/tcp", "80/tcp"},
		Volumes: []string{"/v"}, WorkingDir: "/w", Labels: map[string]string{"l": "<script>"}, StopSignal: "SIGINT"}
	if diff := cmp.Diff(want, inv.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if len(inv.History) != 2 || inv.History[0].CreatedBy != "RUN x" || !inv.History[1].EmptyLayer || inv.Created.IsZero() {
		t.Errorf("history: got %+v, created %v", inv.History, inv.Created)
	}
}

// TestRealOrderOfImages: what is known of a layer does not depend on which image
// it was first seen in.
func TestRealOrderOfImages(t *testing.T) {
	base := tarLayer(t, file("srv/app.conf", awsKeyLine()))
	app := tarLayer(t, file("app", "x"))
	history := map[string]any{"history": []map[string]any{{"created_by": "ADD x"}, {"created_by": `CMD ["sh"]`, "empty_layer": true}, {"created_by": "COPY app"}}}
	count := func(first, second func(*source) gate.Digest) int {
		src := &source{}
		a := withRealChild(t, src, nil)
		analyze(t, a, first(src))
		return len(analyze(t, a, second(src)).Secrets)
	}
	derived := func(s *source) gate.Digest { return s.add([]layer{base, app}, history) }
	alone := func(s *source) gate.Digest { return s.add([]layer{base}, nil) }
	if x, y := count(derived, alone), count(alone, derived); x != 1 || y != 1 {
		t.Errorf("got %d secrets in one order and %d in the other, want 1 and 1", x, y)
	}
}

func TestRealIsolation(t *testing.T) {
	a := withRealChild(t, &source{}, nil)
	r, err := a.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Reached) > 0 {
		t.Errorf("the real child could %q (missing: %q)", r.Reached, r.Missing)
	}
}

// TestRealOrigins: a package belongs to the layer that brought it first, also
// when a layer above writes the same file again.
func TestRealOrigins(t *testing.T) {
	lodash := file("app/node_modules/lodash/package.json", `{"name":"lodash","version":"4.17.20"}`)
	layers := []layer{tarLayer(t, lodash), tarLayer(t, lodash, file("app/node_modules/new/package.json", `{"name":"new","version":"1.0.0"}`)),
		tarLayer(t, file("app/node_modules/new/package.json", `{"name":"new","version":"2.0.0"}`))}
	src := &source{}
	inv := analyze(t, withRealChild(t, src, nil), src.add(layers, nil))
	got := map[string]gate.Digest{}
	for _, a := range inv.Applications {
		for _, p := range a.Packages {
			got[p.Name+"@"+p.Version] = p.Layer
		}
	}
	want := map[string]gate.Digest{"lodash@4.17.20": layers[0].diffID, "new@2.0.0": layers[2].diffID}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
}
