//go:build goexperiment.jsonv2

package child

import (
	"archive/zip"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJavaHomesLook(t *testing.T) {
	tests := map[string]struct {
		name, body string
		want       string // the home, "" for none
	}{
		"temurin":            {"opt/java/openjdk/release", "IMPLEMENTOR=\"Eclipse Adoptium\"\nJAVA_VERSION=\"21.0.5\"\n", "opt/java/openjdk"},
		"at_the_root":        {"release", "JAVA_VERSION=\"21.0.5\"\n", "."},
		"jlink":              {"jre/lib/modules", "\xda\xda\xfe\xca\x00\x00\x01\x00", "jre"},
		"other_byte_order":   {"jre/lib/modules", "\xca\xfe\xda\xda\x00\x01\x00\x00", "jre"},
		"empty_modules":      {"jre/lib/modules", "", ""},
		"text_modules":       {"jre/lib/modules", "hello", ""},
		"kernel_modules":     {"lib/modules", "x", ""},
		"another_release":    {"etc/release", "NAME=\"x\"\nMY_JAVA_VERSION=\"1\"\n", ""},
		"release_of_nothing": {"opt/x/release", "JAVA_VERSION=\n", ""},
		"another_name":       {"opt/x/release.txt", "JAVA_VERSION=\"21\"\n", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h javaHomes
			again, err := io.ReadAll(h.look(tt.name, int64(len(tt.body)), strings.NewReader(tt.body)))
			if err != nil || string(again) != tt.body {
				t.Errorf("the content is %q, %v afterwards", again, err)
			}
			want := map[string]bool{}
			if tt.want != "" {
				want[tt.want] = true
			}
			if diff := cmp.Diff(want, h.all()); diff != "" && len(want)+len(h.all()) > 0 {
				t.Errorf("homes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRuntimeHomes(t *testing.T) {
	manifest := []string{"META-INF/MANIFEST.MF", "Implementation-Title: Java Runtime Environment\n"}
	with := func(more ...string) string { return zipped(t, append(manifest, more...)...) }
	jrtfs := with("jdk/internal/jrtfs/JrtPath.class", "x", "jdk/internal/jimage/decompressor/A.class", "x")
	rt := with("java/lang/Object.class", "x", "com/sun/org/apache/xerces/internal/A.class", "x", "sun/misc/A.class", "x", "META-INF/mailcap.default", "x")
	tests := map[string]struct {
		name, archive string
		want          []string
	}{
		"jrtfs":                 {"opt/java/openjdk/lib/jrt-fs.jar", jrtfs, []string{"opt/java/openjdk"}},
		"below_the_root":        {"lib/jrt-fs.jar", jrtfs, []string{"."}},
		"later_classes":         {"j/lib/jrt-fs.jar", with("META-INF/versions/21/jdk/internal/jrtfs/A.class", "x"), []string{"j"}},
		"rt_of_a_jre":           {"opt/java/lib/rt.jar", rt, []string{"opt/java"}},
		"rt_of_a_jdk":           {"opt/java/jre/lib/rt.jar", rt, []string{"opt/java/jre", "opt/java"}},
		"ext":                   {"opt/java/lib/ext/nashorn.jar", with("jdk/nashorn/A.class", "x"), []string{"opt/java"}},
		"policy":                {"opt/java/lib/security/policy/unlimited/local_policy.jar", with("default_local.policy", "x"), []string{"opt/java"}},
		"no_lib":                {"opt/java/openjdk/jrt-fs.jar", jrtfs, nil},
		"another_name":          {"opt/java/openjdk/lib/jrt-fs2.jar", jrtfs, nil},
		"log4j_as_jrtfs":        {"j/lib/jrt-fs.jar", with("org/apache/logging/log4j/core/A.class", "x"), nil},
		"log4j_with_jrtfs":      {"j/lib/jrt-fs.jar", with("jdk/internal/jrtfs/A.class", "x", "org/apache/logging/log4j/core/A.class", "x"), nil},
		"log4j_in_a_version":    {"j/lib/jrt-fs.jar", with("META-INF/versions/9/org/apache/logging/A.class", "x"), nil},
		"upper_case":            {"j/lib/jrt-fs.jar", with("org/apache/A.CLASS", "x"), nil},
		"dotdot":                {"j/lib/jrt-fs.jar", with("jdk/internal/jrtfs/../../../org/A.class", "x"), nil},
		"another_jdk_package":   {"j/lib/jrt-fs.jar", with("sun/misc/A.class", "x"), nil},
		"archive_inside":        {"j/lib/rt.jar", with("java/lang/Object.class", "x", "a.jar", "x"), nil},
		"log4j_as_rt":           {"j/lib/rt.jar", with("org/apache/logging/log4j/core/A.class", "x"), nil},
		"mail_in_ext":           {"j/lib/ext/zipfs.jar", with("com/sun/mail/A.class", "x"), nil},
		"no_package":            {"j/lib/rt.jar", with("A.class", "x"), nil},
		"library_in_lib_ext":    {"j/lib/ext/javax.mail.jar", with("javax/naming/A.class", "x"), nil},
		"servlet_is_no_runtime": {"j/lib/rt.jar", with("javax/servlet/A.class", "x"), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			archive, err := zip.NewReader(strings.NewReader(tt.archive), int64(len(tt.archive)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, runtimeHomes(tt.name, archive)); diff != "" {
				t.Errorf("homes (-want +got):\n%s", diff)
			}
		})
	}
}
