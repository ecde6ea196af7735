//go:build goexperiment.jsonv2

package child

import (
	"archive/zip"
	"bytes"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A Java runtime has archives of its own that name no coordinates: jrt-fs.jar
// since version 9, rt.jar and others in version 8. They are the runtime's, as
// its lib/modules is, which nobody takes for a library. What proves that one is
// the runtime's:
//
//   - its path below the directory of a runtime, which has a file release that
//     names JAVA_VERSION or a lib/modules in the format of jlink, and
//   - its contents: nothing but classes of packages that only the JDK has, and
//     no archive inside.
//
// A name alone proves nothing.

// javaHomes collects the directories of Java runtimes in a layer. It is safe
// for concurrent use.
type javaHomes struct {
	mu    sync.Mutex
	found map[string]bool
}

const (
	// maxRelease bounds how much of a file named release is read; those of
	// Temurin 21 and Debian's OpenJDK 17 have 1.5 kB.
	maxRelease = 64 << 10
	// jimage begins lib/modules in the byte order of the machine
	// (OpenJDK, imageFile.hpp, IMAGE_MAGIC).
	jimageLittle, jimageBig = "\xda\xda\xfe\xca", "\xca\xfe\xda\xda"
)

var javaVersion = regexp.MustCompile(`(?m)^JAVA_VERSION="[0-9]`)

// look notes the home if the file shows one. It returns a reader of the whole
// content.
func (h *javaHomes) look(name string, size int64, r io.Reader) io.Reader {
	switch {
	case path.Base(name) == "release" && size <= maxRelease:
		head, _ := io.ReadAll(io.LimitReader(r, size)) // an error comes again
		if javaVersion.Match(head) {
			h.add(path.Dir(name))
		}
		return io.MultiReader(bytes.NewReader(head), r)
	case path.Base(name) == "modules" && path.Base(path.Dir(name)) == "lib":
		head, _ := io.ReadAll(io.LimitReader(r, int64(len(jimageLittle))))
		if s := string(head); s == jimageLittle || s == jimageBig {
			h.add(path.Dir(path.Dir(name)))
		}
		return io.MultiReader(bytes.NewReader(head), r)
	}
	return r
}

func (h *javaHomes) add(dir string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.found == nil {
		h.found = map[string]bool{}
	}
	h.found[dir] = true
}

func (h *javaHomes) all() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.found)
}

// jrtfs are the packages in jrt-fs.jar (OpenJDK, make/JrtfsJar.gmk).
var jrtfs = []string{"jdk/internal/jrtfs/", "jdk/internal/jimage/"}

// jdk8 are packages that in Java 8 only the runtime and the JDK have, as in
// Debian's openjdk-8 8u504. Where the JDK contains a library's code (Xerces,
// JAXB, …) it has it in packages of its own, "internal".
var jdk8 = []string{
	"java/", "sun/", "sunw/", "jdk/",
	"javax/accessibility/", "javax/activation/", "javax/activity/", "javax/annotation/", "javax/crypto/", "javax/imageio/", "javax/jws/",
	"javax/lang/", "javax/management/", "javax/naming/", "javax/net/", "javax/print/", "javax/rmi/", "javax/script/", "javax/security/",
	"javax/smartcardio/", "javax/sound/", "javax/sql/", "javax/swing/", "javax/tools/", "javax/transaction/", "javax/xml/",
	"com/oracle/net/", "com/oracle/webservices/internal/", "com/oracle/xmlns/internal/",
	"com/sun/accessibility/internal/", "com/sun/activation/registries/", "com/sun/awt/", "com/sun/beans/", "com/sun/codemodel/internal/",
	"com/sun/corba/se/", "com/sun/crypto/provider/", "com/sun/demo/jvmti/", "com/sun/imageio/", "com/sun/istack/internal/",
	"com/sun/jarsigner/", "com/sun/java/", "com/sun/java_cup/internal/", "com/sun/javadoc/", "com/sun/jdi/", "com/sun/jmx/", "com/sun/jndi/",
	"com/sun/management/", "com/sun/media/sound/", "com/sun/naming/internal/", "com/sun/net/", "com/sun/nio/", "com/sun/org/apache/",
	"com/sun/org/glassfish/", "com/sun/org/omg/", "com/sun/org/slf4j/internal/", "com/sun/rmi/", "com/sun/rowset/", "com/sun/security/",
	"com/sun/source/", "com/sun/swing/internal/", "com/sun/tools/", "com/sun/tracing/", "com/sun/xml/internal/",
	"org/classpath/icedtea/", "org/ietf/jgss/", "org/jcp/xml/dsig/internal/", "org/omg/", "org/relaxng/datatype/", "org/w3c/dom/", "org/xml/sax/",
}

// runtimeArchives are the archives of a runtime, below its lib, with the
// packages that they may have.
var runtimeArchives = map[string][]string{
	"jrt-fs.jar": jrtfs,

	"charsets.jar": jdk8, "jce.jar": jdk8, "jfr.jar": jdk8, "jsse.jar": jdk8, "management-agent.jar": jdk8, "resources.jar": jdk8, "rt.jar": jdk8,
	"ext/cldrdata.jar": jdk8, "ext/dnsns.jar": jdk8, "ext/icedtea-sound.jar": jdk8, "ext/jaccess.jar": jdk8, "ext/localedata.jar": jdk8,
	"ext/nashorn.jar": jdk8, "ext/sunec.jar": jdk8, "ext/sunjce_provider.jar": jdk8, "ext/sunpkcs11.jar": jdk8, "ext/zipfs.jar": jdk8,
	"security/US_export_policy.jar": jdk8, "security/local_policy.jar": jdk8,
	"security/policy/limited/US_export_policy.jar": jdk8, "security/policy/limited/local_policy.jar": jdk8,
	"security/policy/unlimited/US_export_policy.jar": jdk8, "security/policy/unlimited/local_policy.jar": jdk8,
	// Of the JDK.
	"dt.jar": jdk8, "jconsole.jar": jdk8, "sa-jdi.jar": jdk8, "tools.jar": jdk8,
}

// runtimeHomes are the directories of which one must be a runtime's, if the
// archive with that name and those contents is to be its; none if it cannot be.
func runtimeHomes(name string, archive *zip.Reader) []string {
	for below, packages := range runtimeArchives {
		home, ok := strings.CutSuffix("/"+name, "/lib/"+below)
		if !ok {
			continue
		}
		if !onlyClassesOf(packages, archive) {
			return nil
		}
		home = path.Clean(strings.TrimPrefix(home, "/")) // "." is the root, as path.Dir says
		if path.Base(home) == "jre" {
			return []string{home, path.Dir(home)} // JDK/jre; the JDK has the file release
		}
		return []string{home}
	}
	return nil
}

// onlyClassesOf reports whether every class in the archive is of one of the
// packages and no archive is inside. What is no class cannot run by itself.
func onlyClassesOf(packages []string, archive *zip.Reader) bool {
	for _, f := range archive.File {
		switch strings.ToLower(path.Ext(f.Name)) {
		case ".class":
			name := versioned.ReplaceAllString(strings.TrimPrefix(f.Name, "/"), "")
			if path.Clean(name) != name || !slices.ContainsFunc(packages, func(p string) bool { return strings.HasPrefix(name, p) }) {
				return false
			}
		case ".jar", ".war", ".ear", ".par", ".zip":
			return false
		}
	}
	return true
}

// versioned is where an archive has classes for later versions of Java.
var versioned = regexp.MustCompile(`^META-INF/versions/[0-9]+/`)
