//go:build goexperiment.jsonv2

package child

import (
	"testing"

	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"
)

// TestInstalled has paths of trees that npm 11, pnpm 9, Yarn 1 and 4, pip 23,
// RubyGems 3.3, Composer 2 and conda made, and of what lies about in them.
func TestInstalled(t *testing.T) {
	tests := map[analyzer.Type]map[string]bool{
		analyzer.TypeNodePkg: {
			"app/node_modules/lodash/package.json":                                    true,
			"app/node_modules/@babel/runtime/package.json":                            true,
			"node_modules/a/package.json":                                             true,
			"usr/local/lib/node_modules/npm/package.json":                             true,
			"usr/local/lib/node_modules/npm/node_modules/tar/package.json":            true,
			"app/node_modules/a/node_modules/@s/b/package.json":                       true,
			"app/node_modules/.pnpm/lodash@4.17.20/node_modules/lodash/package.json":  true,
			"app/node_modules/.pnpm/@s+b@1.0.0_x@1/node_modules/@s/b/package.json":    true,
			"app/node_modules/.bun/lodash@4.17.20/node_modules/lodash/package.json":   true,
			"app/node_modules/.store/lodash-npm-4.17.20-c1d0/package/package.json":    true,
			"app/.yarn/unplugged/esbuild-npm-0.2-1/node_modules/esbuild/package.json": true,
			"app/node_modules/resolve/test/x/node_modules/y/package.json":             true,
			"app/node_modules/rxjs/ajax/package.json":                                 false,
			"app/node_modules/@angular/core/testing/package.json":                     false,
			"app/node_modules/@babel/runtime/helpers/esm/package.json":                false,
			"app/node_modules/.prisma/client/package.json":                            false,
			"app/node_modules/.vite/package.json":                                     false,
			"app/node_modules/.vite/deps/package.json":                                false,
			"app/node_modules/@scope/package.json":                                    false,
			"app/node_modules/@scope/.cache/package.json":                             false,
			"app/node_modules/package.json":                                           false,
			"app/node_modules/a/node_modules/package.json":                            false,
			"app/node_modules/.store/lodash-npm-4.17.20-c1d0/package/fp/package.json": false,
			"app/package.json":                    false,
			"package.json":                        false,
			"app/.next/package.json":              false,
			"opt/yarn-v1.22.22/package.json":      false,
			"app/node_modules_old/a/package.json": false,
			"app/node_modules/resolve/test/resolver/malformed_package_json/package.json": false,
		},
		analyzer.TypePythonPkg: {
			"usr/lib/python3/dist-packages/x-1.0.dist-info/METADATA":                        true,
			"app/venv/lib/python3.12/site-packages/x-1.0.dist-info/METADATA":                true,
			"var/task/x-1.0.dist-info/METADATA":                                             true,
			"x-1.0.dist-info/METADATA":                                                      true,
			"a/site-packages/setuptools/_vendor/packaging-24.dist-info/METADATA":            true,
			"a/site-packages/x.egg-info/PKG-INFO":                                           true,
			"a/site-packages/x.egg-info/METADATA":                                           true,
			"a/site-packages/x-1.0-py3.11.egg-info":                                         true,
			"a/site-packages/x-1.0-py3.11.egg/EGG-INFO/PKG-INFO":                            true,
			"tests/venv/lib/python3.12/site-packages/x-1.0.dist-info/METADATA":              true,
			"a/site-packages/x-1.0.dist-info/licenses/METADATA":                             false,
			"a/site-packages/pkg_resources/tests/data/my_test-1.0.egg/EGG-INFO/PKG-INFO":    false,
			"a/site-packages/importlib_metadata/Fixtures/broken-1.0.dist-info/METADATA":     false,
			"usr/lib/python3.12/test/test_importlib/metadata/data/x-1.0.dist-info/METADATA": false,
			"a/site-packages/x-1.0.dist-info/RECORD":                                        false,
		},
		analyzer.TypePythonPkgEgg: {
			"a/site-packages/x-1.0-py3.11.egg":           true,
			"a/site-packages/setuptools/tests/x-1.0.egg": false,
		},
		analyzer.TypeGemSpec: {
			"usr/local/bundle/specifications/rack-3.0.9.gemspec":                                      true,
			"usr/local/lib/ruby/gems/3.3.0/specifications/rack-3.0.9.gemspec":                         true,
			"usr/local/lib/ruby/gems/3.3.0/specifications/default/json-2.7.1.gemspec":                 true,
			"var/lib/gems/3.1.0/specifications/rack-3.0.9.gemspec":                                    true,
			"opt/jruby/lib/ruby/gems/shared/specifications/rack-3.0.9.gemspec":                        true,
			"usr/local/rvm/gems/ruby-3.2.2/specifications/rack-3.0.9.gemspec":                         true,
			"usr/local/rvm/gems/ruby-3.2.2@global/specifications/rack-3.0.9.gemspec":                  true,
			"usr/share/rubygems-integration/all/specifications/rake-13.0.6.gemspec":                   true,
			"app/vendor/bundle/ruby/3.3.0/specifications/rack-3.0.9.gemspec":                          true,
			"usr/local/bundle/gems/rubygems-mirror-1.3.0/test/data/specifications/broken-1.gemspec":   false,
			"usr/local/bundle/gems/a-1.0/vendor/bundle/ruby/3.3.0/specifications/default/b-1.gemspec": false,
			"usr/local/bundle/bundler/gems/a-1f0c3d2e9b7a/spec/specifications/b-1.gemspec":            false,
			"usr/local/bundle/specifications/cache/rack-3.0.9.gemspec":                                false,
			"usr/local/bundle/specifications/default/old/rack-3.0.9.gemspec":                          false,
		},
		analyzer.TypeCondaPkg: {
			"opt/conda/envs/py/conda-meta/zlib-1.3-h1.json":       true,
			"opt/conda/envs/py/conda-meta/state/zlib-1.3-h1.json": false,
		},
		analyzer.TypeComposerVendor: {
			"app/vendor/composer/installed.json":                                    true,
			"app/lib/composer/installed.json":                                       true,
			"tests/vendor/a/b/vendor/composer/installed.json":                       true,
			"app/vendor/a/b/tests/fixtures/vendor/composer/installed.json":          false,
			"app/vendor/composer/composer/tests/fixtures/a/composer/installed.json": false,
			"app/installed.json":                                                    false,
		},
		analyzer.TypeNuget:         {"src/packages.lock.json": false},
		analyzer.TypePackagesProps: {"src/Directory.Packages.props": false},
		analyzer.TypeCargo:         {"src/Cargo.lock": false},
		analyzer.TypeDotNetCore:    {"app/app.deps.json": true},
		analyzer.TypeGoBinary:      {"app/app": true},
		analyzerJar:                {"app/a.jar": true},
	}
	for by, paths := range tests {
		for name, want := range paths {
			if got := installed(by, name); got != want {
				t.Errorf("installed(%s, %q): got %v, want %v", by, name, got, want)
			}
		}
		if !installed(by, "") {
			t.Errorf("installed(%s, %q): an analyser that fails as a whole is no gap", by, "")
		}
	}
}
