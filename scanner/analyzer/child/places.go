//go:build goexperiment.jsonv2

package child

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"
)

// Trivy's analysers take files by their name, wherever they are. Most of such
// files that cannot be read describe nothing that is installed: a marker in a
// subdirectory, a fixture of a test, an input of a build. The functions here
// say at which places the language's runtime or package manager looks for a
// package. Only there is a file that cannot be read a gap; a file elsewhere
// that can be read is a package all the same.

// installed reports whether a file that by takes and cannot read hides a
// package from us that may run.
func installed(by analyzer.Type, name string) bool {
	if name == "" {
		return true // the analyser as a whole
	}
	switch by {
	case analyzer.TypeNodePkg:
		return npmPlace(name)
	case analyzer.TypePythonPkg, analyzer.TypePythonPkgEgg:
		return pythonPlace(name)
	case analyzer.TypeGemSpec:
		return gemPlace(name)
	case analyzer.TypeCondaPkg:
		// conda reads PREFIX/conda-meta/*.json, no deeper.
		return path.Base(path.Dir(name)) == "conda-meta"
	case analyzer.TypeComposerVendor:
		return composerPlace(name)
	case analyzer.TypeNuget, analyzer.TypePackagesProps, analyzer.TypeCargo:
		// packages.lock.json, packages.config, *packages.props and Cargo.lock
		// are inputs of a build. The .NET host reads *.deps.json; a Rust program
		// has its list inside.
		return false
	}
	return true
}

// testDirs are names of directories with data for tests.
var testDirs = []string{"test", "tests", "testing", "testdata", "test_data", "test-data", "__tests__", "fixture", "fixtures", "__fixtures__", "spec"}

func forTests(elems []string) bool {
	return slices.ContainsFunc(elems, func(e string) bool { return slices.Contains(testDirs, strings.ToLower(e)) })
}

// npmPlace reports whether a package.json is that of node_modules/NAME or
// node_modules/@SCOPE/NAME, which Node loads by the directory's name (Node.js,
// "Loading from node_modules folders"). The last node_modules counts: that of a
// nested dependency, of pnpm's .pnpm/NAME@VERSION/node_modules, of bun's .bun.
// Yarn's linker "pnpm" keeps packages at .store/NAME-…/package and links there.
// Other names with a dot in front are caches and tools' own directories, which
// no package can have as its name.
func npmPlace(name string) bool {
	elems := strings.Split(name, "/")
	last := lastIndex(elems, "node_modules")
	if last < 0 || elems[len(elems)-1] != packageJSON {
		return false
	}
	dirs := elems[last+1 : len(elems)-1]
	switch len(dirs) {
	case 1:
		return !strings.HasPrefix(dirs[0], "@") && !strings.HasPrefix(dirs[0], ".")
	case 2:
		return strings.HasPrefix(dirs[0], "@") && !strings.HasPrefix(dirs[1], ".")
	case 3:
		return dirs[0] == ".store" && dirs[2] == "package"
	}
	return false
}

// pythonPlace reports whether importlib.metadata would find the file from a
// directory on sys.path: DIR/NAME.dist-info/METADATA, DIR/NAME.egg-info (a file
// or a directory), DIR/NAME.egg. Any directory can be on sys.path, packages put
// their vendored ones there; only data for tests, below the last site-packages,
// is taken for what it is.
func pythonPlace(name string) bool {
	elems := strings.Split(name, "/")
	end := len(elems) - 1 // of the directories on whose path the distribution is
	switch base := elems[end]; {
	case strings.HasSuffix(base, ".egg-info"), strings.HasSuffix(base, ".egg"):
	case end == 0:
		return false
	case base == "METADATA" && strings.HasSuffix(elems[end-1], ".dist-info"),
		(base == "METADATA" || base == "PKG-INFO") && strings.HasSuffix(elems[end-1], ".egg-info"):
		end--
	case base == "PKG-INFO" && elems[end-1] == "EGG-INFO":
		end = max(end-2, 0)
	default:
		return false
	}
	dirs := elems[:end]
	site := max(lastIndex(dirs, "site-packages"), lastIndex(dirs, "dist-packages"))
	return !forTests(dirs[site+1:])
}

// gemSource is a gem's unpacked source: gems/NAME-VERSION, or from a
// repository bundler/gems/NAME-COMMIT.
var gemSource = regexp.MustCompile(`(^|/)gems/[^/]+-(\d[^/]*|[0-9a-f]{7,})/`)

// gemPlace reports whether RubyGems would load the specification: it reads
// HOME/specifications/*.gemspec and HOME/specifications/default/*.gemspec
// (Gem::Specification.dirs). What is deeper inside a gem's source is not a
// home, but gems/ruby-3.3.0 of RVM is one.
func gemPlace(name string) bool {
	dir := strings.TrimSuffix(path.Dir(name), "/default")
	if path.Base(dir) != "specifications" {
		return false
	}
	home := path.Dir(dir) + "/"
	at := gemSource.FindStringIndex(home)
	return at == nil || at[1] == len(home)
}

// composerPlace reports whether the file is VENDOR/composer/installed.json,
// which Composer writes; not that of a package's tests.
func composerPlace(name string) bool {
	dirs := strings.Split(path.Dir(name), "/")
	if dirs[len(dirs)-1] != "composer" {
		return false
	}
	dirs = dirs[:max(len(dirs)-2, 0)] // without vendor/composer
	return !forTests(dirs[lastIndex(dirs, "vendor")+1:])
}

func lastIndex(elems []string, e string) int {
	for i := len(elems) - 1; i >= 0; i-- {
		if elems[i] == e {
			return i
		}
	}
	return -1
}
