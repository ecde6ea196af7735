package distribution

import (
	"path"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// databases are the places of package databases, as patterns of path.Match, with
// the manager that writes them. The first ones are read by Trivy's analysers
// (pkg/fanal/analyzer/pkg/…, v0.74.0); nobody reads the others, so that what is
// installed by them is not known. Each pattern needs a file that is there only
// when a package is installed, because a package manager that is itself
// installed as a package brings its empty directories.
var databases = []struct {
	manager string
	read    bool
	pattern string
	marker  string // what to note in place of the path, "" for the path
}{
	{dpkg, true, "var/lib/dpkg/status", ""},
	{dpkg, true, "var/lib/dpkg/status.d/*", "var/lib/dpkg/status.d"},
	{apk, true, "lib/apk/db/installed", ""},
	{apk, true, "usr/lib/apk/db/installed", ""},
	{rpm, true, "var/lib/rpm/Packages", ""},
	{rpm, true, "var/lib/rpm/Packages.db", ""},
	{rpm, true, "var/lib/rpm/rpmdb.sqlite", ""},
	{rpm, true, "usr/lib/sysimage/rpm/Packages", ""},
	{rpm, true, "usr/lib/sysimage/rpm/Packages.db", ""},
	{rpm, true, "usr/lib/sysimage/rpm/rpmdb.sqlite", ""},
	{rpm, true, "usr/share/rpm/rpmdb.sqlite", ""},
	{rpm, true, "var/lib/rpmmanifest/container-manifest-2", ""}, // CBL-Mariner without rpm
	{bottlerocket, true, "aarch64-bottlerocket-linux-gnu/sys-root/usr/share/bottlerocket/application-inventory.json", ""},
	{bottlerocket, true, "x86_64-bottlerocket-linux-gnu/sys-root/usr/share/bottlerocket/application-inventory.json", ""},

	{rpm, false, "usr/share/rpm/Packages", ""},
	{rpm, false, "usr/share/rpm/Packages.db", ""},
	{"pacman", false, "var/lib/pacman/local/*/desc", "var/lib/pacman/local"},
	{"opkg", false, "var/lib/opkg/status", ""},
	{"opkg", false, "usr/lib/opkg/status", ""},
	{"opkg", false, "usr/lib/opkg/info/*.control", "usr/lib/opkg/info"},
	{"opkg", false, "var/lib/opkg/info/*.control", "var/lib/opkg/info"},
	{"opkg", false, "opt/lib/opkg/status", ""},
	{"ipkg", false, "usr/lib/ipkg/status", ""},
	{"portage", false, "var/db/pkg/*/*/*", "var/db/pkg"},
	{"xbps", false, "var/db/xbps/pkgdb-*.plist", "var/db/xbps"},
	{"eopkg", false, "var/lib/eopkg/package/*/metadata.xml", "var/lib/eopkg/package"},
	{"swupd", false, "usr/share/clear/bundles/*", "usr/share/clear/bundles"},
	{"pkgtools", false, "var/lib/pkgtools/packages/*", "var/lib/pkgtools/packages"},
	{"nix", false, "nix/var/nix/db/db.sqlite", ""},
	{"guix", false, "var/guix/db/db.sqlite", ""},
	{"chisel", false, "var/lib/chisel/manifest.wall", ""},
	{"Homebrew", false, "home/linuxbrew/.linuxbrew/Cellar/*/*/INSTALL_RECEIPT.json", "home/linuxbrew/.linuxbrew/Cellar"},
	{"Tiny Core", false, "usr/local/tce.installed/*", "usr/local/tce.installed"},
}

// databaseDirs is the fixed beginning of each pattern: a file, or a directory
// with its slash.
var databaseDirs = func() []string {
	dirs := make([]string, len(databases))
	for i, d := range databases {
		dir, _, more := strings.Cut(d.pattern, "*")
		if more { // "pkgdb-*.plist" is in a directory, too
			dir = dir[:strings.LastIndex(dir, "/")+1]
		}
		dirs[i] = dir
	}
	return dirs
}()

// DatabasePlaces lists the files, and the directories at or below which files
// are, that [Database] knows: where to look.
func DatabasePlaces() []string {
	var out []string
	for _, dir := range databaseDirs {
		if dir = strings.TrimSuffix(dir, "/"); !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	return out
}

// Database names the package database that a file of the cleaned path belongs
// to; ok is false for a path that belongs to none. A file without content shows
// nothing and is not to be asked about.
func Database(p string) (db gate.PackageDatabase, ok bool) {
	for i, d := range databases {
		// The directory first: this is asked for every file of an image.
		if !strings.HasPrefix(p, databaseDirs[i]) {
			continue
		}
		if match, err := path.Match(d.pattern, p); err != nil || !match {
			continue
		}
		where := d.marker
		if where == "" {
			where = p
		}
		return gate.PackageDatabase{Manager: d.manager, Path: where}, true
	}
	return gate.PackageDatabase{}, false
}

// unread reports whether no analyser reads the database.
func unread(db gate.PackageDatabase) bool {
	for _, d := range databases {
		if d.read && d.manager == db.Manager {
			if match, err := path.Match(d.pattern, db.Path); err == nil && match || d.marker == db.Path && d.marker != "" {
				return false
			}
		}
	}
	return true
}

// managers are the package managers by the name of the analyser that read their
// database ([gate.Package].AnalyzedBy).
var managers = map[string]string{"dpkg": dpkg, "apk": apk, "rpm": rpm, "rpmqa": rpm, "bottlerocket-inventory": bottlerocket}
