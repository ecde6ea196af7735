package analyzer_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha1" //nolint:gosec // what Java archives are known by
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex/javaindextest"
	"github.com/digestgate/digestgate/scanner/match"
)

// javaApp is one of the Java applications that the services of the market look for.
type javaApp struct {
	group, artifact, version string
	// manifest is the main section of the artifact that Maven Central has; "" where it has
	// a pom.properties, which names it.
	manifest string
}

func (a javaApp) name() string { return a.group + ":" + a.artifact }

const tomcatManifest = "Implementation-Title: Apache Tomcat\r\nImplementation-Vendor: Apache Software Foundation\r\nImplementation-Version: 9.0.31\r\nSpecification-Title: Apache Tomcat\r\nSpecification-Version: 9.0\r\n"

// javaApps say of themselves what the artifacts in Maven Central do. In their place stand
// archives that the test makes, unless the host has a real one (realJar): a repository of
// Java archives is not reachable from where the tests run.
var javaApps = []javaApp{
	{"com.alibaba", "fastjson", "1.2.24", ""},
	{"org.apache.logging.log4j", "log4j-core", "2.14.1", ""},
	{"org.apache.logging.log4j", "log4j-api", "2.14.1", ""},
	{"org.springframework", "spring-core", "5.3.17", "Implementation-Title: spring-core\r\nImplementation-Version: 5.3.17\r\nAutomatic-Module-Name: spring.core\r\n"},
	{"org.springframework", "spring-beans", "5.3.17", "Implementation-Title: spring-beans\r\nImplementation-Version: 5.3.17\r\n"},
	{"org.springframework", "spring-context", "5.3.17", "Implementation-Title: spring-context\r\nImplementation-Version: 5.3.17\r\n"},
	{"org.springframework", "spring-aop", "5.3.17", "Implementation-Title: spring-aop\r\nImplementation-Version: 5.3.17\r\n"},
	{"org.springframework", "spring-webmvc", "5.3.17", "Implementation-Title: spring-webmvc\r\nImplementation-Version: 5.3.17\r\n"},
	{"org.springframework", "spring-jdbc", "5.3.17", "Implementation-Title: spring-jdbc\r\nImplementation-Version: 5.3.17\r\n"},
	{"org.apache.shiro", "shiro-core", "1.5.0", ""},
	{"org.apache.struts", "struts-core", "1.3.10", ""},
	{"org.apache.tomcat.embed", "tomcat-embed-core", "9.0.31", tomcatManifest + "Bundle-SymbolicName: org.apache.tomcat-embed-core\r\n"},
	{"org.apache.tomcat.embed", "tomcat-embed-el", "9.0.31", tomcatManifest + "Bundle-SymbolicName: org.apache.tomcat-embed-el\r\n"},
	{"org.apache.tomcat.embed", "tomcat-embed-websocket", "9.0.31", tomcatManifest + "Bundle-SymbolicName: org.apache.tomcat-embed-websocket\r\n"},
	{"org.apache.tomcat", "tomcat-jdbc", "9.0.31", tomcatManifest},
	{"org.apache.tomcat", "tomcat-juli", "9.0.31", tomcatManifest},
	{"org.apache.tomcat", "tomcat-annotations-api", "9.0.31", tomcatManifest},
	{"com.alibaba", "druid", "1.1.10", ""},
	{"commons-lang", "commons-lang", "2.6", ""},
	{"commons-logging", "commons-logging", "1.1.1", ""},
	{"commons-configuration", "commons-configuration", "1.6", ""},
	{"commons-collections", "commons-collections", "3.2.1", "Implementation-Title: Commons Collections\r\nImplementation-Vendor: The Apache Software Foundation\r\nImplementation-Vendor-Id: org.apache\r\nImplementation-Version: 3.2.1\r\n"},
	{"org.springframework.cloud", "spring-cloud-netflix-archaius", "2.2.5.RELEASE", ""},
	{"mysql", "mysql-connector-java", "5.1.40", "Implementation-Title: MySQL Connector/J\r\nImplementation-Vendor: Oracle\r\nImplementation-Vendor-Id: com.mysql\r\nImplementation-Version: 5.1.40\r\nBundle-SymbolicName: com.mysql.jdbc\r\n"},
}

// jar is the archive of an application.
func (a javaApp) jar(t testing.TB) string {
	t.Helper()
	in := []entry{file("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n"+a.manifest+"\r\n"), file(strings.ReplaceAll(a.group, ".", "/")+"/"+a.artifact+".class", "x")}
	if a.manifest == "" {
		in = append(in, pom(a.group, a.artifact, a.version))
	}
	return zipped(t, in...)
}

// realJar is the application's archive as Debian has it (liblog4j2-java, libspring-*-java,
// libshiro-java, libtomcat*-embed-java, libcommons-*-java), in DIGESTGATE_JARS or
// /usr/share/java.
func realJar(a javaApp) (string, bool) {
	dir := os.Getenv("DIGESTGATE_JARS")
	if dir == "" {
		dir = "/usr/share/java"
	}
	name := strings.Replace(a.artifact, "webmvc", "web.servlet", 1)
	first, rest, _ := strings.Cut(name, "-")
	for _, pattern := range []string{name + ".jar", first + "[0-9]*-" + rest + ".jar", name + "[0-9].jar"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, f := range found {
			if b, err := os.ReadFile(f); err == nil && len(b) > 0 {
				return string(b), true
			}
		}
	}
	return "", false
}

func sha1Of(b string) string {
	sum := sha1.Sum([]byte(b)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// javaMatcher matches with advisories for all packages of rows, and an index of rows;
// without rows there is no index.
func javaMatcher(t testing.TB, packages []string, rows ...javaindextest.Row) *match.Matcher {
	t.Helper()
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	from := fstest.MapFS{}
	for i, name := range packages {
		from[fmt.Sprintf("osv/GHSA-%d.json", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, `{"id":"GHSA-aaaa-bbbb-%04d","aliases":["CVE-2026-%04d"],"modified":"2026-11-01T00:00:00Z",
			"affected":[{"package":{"ecosystem":"Maven","name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"9999"}]}]}]}`, i, i, name)}
	}
	root := t.TempDir()
	built, err := advisory.Build(t.Context(), advisory.BuildOptions{From: from, Out: filepath.Join(root, "db"), UpdatedAt: at, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	c := advisory.Default()
	c.Path = filepath.Join(root, "db")
	if len(rows) > 0 {
		c.Java.Path = javaindextest.Make(t, at, rows...)
	}
	m := match.New(nil, func() time.Time { return at })
	t.Cleanup(func() { _ = m.Close() })
	manager := advisory.NewManager(advisory.Options{Config: c, DataDir: filepath.Join(root, "data"), Loader: m, Now: func() time.Time { return at }})
	if err := manager.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := manager.Status(); st.Problem != "" || len(st.Notes) > 0 || (st.Java != nil) != (len(rows) > 0) {
		t.Fatalf("the data of %s: %+v", built.Content.Short(), st)
	}
	return m
}

func foundAt(f *gate.Findings) []string {
	var out []string
	for _, v := range f.Vulnerabilities {
		out = append(out, v.Package+" "+v.Path)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestRealJavaApplications: each of the Java applications is found as an archive in a
// directory, and inside an executable archive of Spring Boot, by what a real child records
// and an index that came later. Without an index those that do not name themselves are
// gaps, which say what to do.
func TestRealJavaApplications(t *testing.T) {
	var flat, boot []entry
	var rows []javaindextest.Row
	var packages, want []string
	real := 0
	for _, a := range javaApps {
		jar, ok := realJar(a)
		if !ok {
			jar = a.jar(t)
		} else {
			real++
		}
		// A name without a version is no help to anybody.
		flat, boot = append(flat, file("app/lib/"+a.artifact+".jar", jar)), append(boot, file("BOOT-INF/lib/"+a.artifact+"-"+a.version+".jar", jar))
		rows, packages = append(rows, javaindextest.Row{Group: a.group, Artifact: a.artifact, Version: a.version, SHA1: sha1Of(jar)}), append(packages, a.name())
		want = append(want, a.name()+" app/lib/"+a.artifact+".jar", a.name()+" app/shop.jar/BOOT-INF/lib/"+a.artifact+"-"+a.version+".jar")
	}
	t.Logf("%d of %d archives are real; the others have the names and manifests of the real ones", real, len(javaApps))
	shop := zipped(t, append([]entry{pom("com.example", "shop", "1.0"), file("META-INF/MANIFEST.MF", "Main-Class: org.springframework.boot.loader.JarLauncher\n")}, boot...)...)
	src := &source{}
	inv := analyze(t, withRealChild(t, src, nil), src.add([]layer{tarLayer(t, append(flat, file("app/shop.jar", shop))...)}, nil))
	if n := len(inv.Archives); n != 2*len(javaApps)+1 {
		t.Fatalf("%d archives are recorded", n)
	}
	for _, a := range inv.Archives {
		if a.Layer == "" || len(a.SHA1) != 40 || (a.By == gate.ArchiveByPom) == a.Unnamed {
			t.Errorf("recorded %+v", a)
		}
	}
	before, err := javaMatcher(t, packages).Match(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	gaps := inv.Named(before)
	if gaps.Risks[gate.RiskVulnerabilities].Coverage != gate.Partial || len(gaps.Errors) == 0 || !strings.Contains(gaps.Errors[0].Message, "set advisories.java") {
		t.Errorf("without an index: %+v", gaps.Errors)
	}
	// The stored inventory is matched again; nothing is pulled.
	stored, err := json.Marshal(inv)
	if err != nil {
		t.Fatal(err)
	}
	again := new(gate.Inventory)
	if err := json.Unmarshal(stored, again); err != nil {
		t.Fatal(err)
	}
	after, err := javaMatcher(t, packages, rows...).Match(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	got := foundAt(after)
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%s is not found", w)
		}
	}
	if left := again.Named(after); len(left.Errors) > 0 || left.Risks[gate.RiskVulnerabilities].Coverage != gate.Complete {
		t.Errorf("with an index these are left: %+v", left.Errors)
	}
}

// TestRealWar: the archives in a real application, as Gradle built it: nothing names them
// but their bytes. It is in the module that the analyser is made of.
func TestRealWar(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aquasecurity/trivy").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	war, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "pkg/dependency/parser/java/jar/testdata/gradle.war"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(war), int64(len(war)))
	if err != nil {
		t.Fatal(err)
	}
	rows := []javaindextest.Row{{Group: "com.example", Artifact: "gradle", Version: "1", SHA1: sha1Of(string(war))}}
	packages := []string{"com.example:gradle"}
	for _, f := range z.File {
		if path.Ext(f.Name) != ".jar" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		artifact, version, _ := strings.Cut(strings.TrimSuffix(path.Base(f.Name), ".jar"), "-1.")
		rows = append(rows, javaindextest.Row{Group: "index", Artifact: artifact, Version: "1." + version, SHA1: sha1Of(string(b))})
		packages = append(packages, "index:"+artifact)
	}
	src := &source{}
	inv := analyze(t, withRealChild(t, src, nil), src.add([]layer{tarLayer(t, file("srv/gradle.war", string(war)))}, nil))
	if len(inv.Archives) != len(rows) {
		t.Fatalf("recorded %+v", inv.Archives)
	}
	f, err := javaMatcher(t, packages, rows...).Match(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	if left := inv.Named(f); len(left.Errors) > 0 || len(f.Archives.Named) == 0 {
		t.Errorf("left %+v, named %+v", left.Errors, f.Archives)
	}
}
