package analyzer

// DefaultSkipPaths is the default of scan.secrets.skipPaths: where a search for
// secrets finds text that looks like one and is none, at the cost of most of its
// time. The list is what the rules' author leaves out (Trivy v0.74.0,
// pkg/fanal/secret, builtinAllowRules and defaultSkipPatterns), written down so
// that an operator can see and change it.
func DefaultSkipPaths() []string {
	return []string{
		// What a distribution or a language's installer put there.
		"usr/share/**", "usr/include/**", "usr/lib/**",
		"usr/local/go/**", "usr/local/lib/python[0-9.]*/**", "opt/yarn-v[0-9.]*/**", "usr/src/wordpress/**", "var/log/anaconda/**",
		"**/node_modules/**", "**/vendor/**", "**/*.dist-info/**", "**/locale/**", "**/locales/**", "**/.git/**",
		// Tests, examples and documentation.
		// In doublestar "**/test*/**" does not match a file "test".
		"**/[tT][eE][sS][tT]*", "**/[tT][eE][sS][tT]*/**", "**/*[-_.][tT][eE][sS][tT]*", "**/*[-_.][tT][eE][sS][tT]*/**",
		"**/*example*", "**/*example*/**", "**/*.md",
		// Lists of packages with their hashes.
		"**/go.mod", "**/go.sum", "**/package-lock.json", "**/yarn.lock", "**/pnpm-lock.yaml", "**/Pipfile.lock", "**/Gemfile.lock",
		// Pictures, archives and other binary formats.
		"**/*.jpg", "**/*.png", "**/*.gif", "**/*.svg", "**/*.doc", "**/*.pdf", "**/*.bin", "**/*.socket",
		"**/*.deb", "**/*.rpm", "**/*.zip", "**/*.gz", "**/*.gzip", "**/*.tar",
	}
}
