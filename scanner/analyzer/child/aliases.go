//go:build goexperiment.jsonv2

package child

import (
	"path"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
	"github.com/digestgate/digestgate/scanner/distribution"
)

type analyzerType = analyzer.Type

// notLookedAt are analysers of what this version does not look at. No layer is
// read again for them: Debian's documentation is full of links.
func notLookedAt(t analyzerType) bool { return t == analyzer.TypeDpkgLicense }

// maxAliases bounds the paths below directories with two names that are looked
// at. A large pnpm installation has some 200,000.
const maxAliases = 2_000_000

// onePlace are files that analysers read at one place only, with symbolic links
// followed, and the directories of which they read every file.
var (
	onePlace = []string{
		"var/lib/dpkg/status", "lib/apk/db/installed", "usr/lib/apk/db/installed", "etc/apk/repositories",
		"usr/lib/sysimage/rpm/Packages", "var/lib/rpm/Packages", "usr/lib/sysimage/rpm/Packages.db", "var/lib/rpm/Packages.db",
		"usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite", "usr/share/rpm/rpmdb.sqlite",
		"var/lib/rpmmanifest/container-manifest-2",
		"etc/os-release", "usr/lib/os-release",
	}
	onePlaceDirs = []string{"var/lib/dpkg/status.d", "root/buildinfo", "root/buildinfo/content_manifests", "usr/share/buildinfo", "opt/bitnami"}
)

// decisive reports whether everything else depends on a file: a package
// database, or what names the distribution.
func decisive(p string) bool {
	return p != "etc/apk/repositories" && slices.Contains(onePlace, p) || path.Dir(p) == "var/lib/dpkg/status.d"
}

// aliases looks at the paths that lead to a file through symbolic links, as far
// as an analyser knows files by them: the content is read under that name too
// unless its own name is as good.
func (img *image) aliases() error {
	left := maxAliases
	for _, v := range img.views {
		var links []string
		v.Walk("", func(p string, n rootfs.Node) bool {
			if n.Kind == rootfs.Symlink {
				links = append(links, p)
			}
			return true
		})
		if len(links) == 0 {
			continue
		}
		for _, p := range slices.Concat(links, onePlace, distribution.ReleaseFiles()) {
			if err := img.alias(v, p, &left); err != nil {
				return err
			}
		}
		for _, dir := range onePlaceDirs {
			if err := img.below(v, dir, &left); err != nil {
				return err
			}
		}
	}
	return img.contradictions()
}

// alias follows one path.
func (img *image) alias(v *rootfs.View, p string, left *int) error {
	real, n, ok := v.Lookup(p)
	switch {
	case !ok || real == p:
		return nil
	case n.Kind == rootfs.Directory && gives(p):
		return img.below(v, p, left)
	case n.Kind == rootfs.File:
		return img.also(p, real, n)
	}
	return nil
}

// below looks at everything below a directory that p leads to.
func (img *image) below(v *rootfs.View, p string, left *int) error {
	real, n, ok := v.Lookup(p)
	if !ok || real == p || n.Kind != rootfs.Directory {
		return nil
	}
	var err error
	v.Walk(real, func(at string, n rootfs.Node) bool {
		if *left--; *left < 0 {
			err = tooLarge("links to directories give more than %d files another name", maxAliases)
			return false
		}
		target := at
		if n.Kind == rootfs.Symlink {
			target, n, _ = v.Lookup(at)
		}
		if n.Kind == rootfs.File {
			err = img.also(p+strings.TrimPrefix(at, real), target, n)
		}
		return err == nil
	})
	return err
}

// gives reports whether files are known by a name that the directory is part of.
// Analysers recognise the others by their last element, wherever they are.
func gives(dir string) bool {
	if strings.HasPrefix(dir, bitnamiRoot) {
		return true
	}
	for part := range strings.SplitSeq(dir, "/") {
		switch part {
		case "node_modules", "specifications", "conda-meta", "envs", "EGG-INFO":
			return true
		}
		switch path.Ext(part) {
		case ".dist-info", ".egg-info", ".egg":
			return true
		}
	}
	return false
}

// also takes note of a second name of a file that a container sees.
func (img *image) also(name, real string, n rootfs.Node) error {
	size := img.entry(n.Content).Size
	readers, err := img.readers(name, size, n.Mode)
	if err != nil || len(readers) == 0 {
		return err
	}
	s := sight{n.Content, n.Mode}
	img.see(name, s)
	realReaders, err := img.readers(real, size, n.Mode)
	if err != nil {
		return err
	}
	for _, t := range readers {
		if slices.Contains(realReaders, t) && (!decisive(name) || path.Base(name) == path.Base(real)) &&
			(installed(t, real) || !installed(t, name) || img.describes(n.Content)) {
			continue
		}
		img.want(s, name)
		return nil
	}
	return nil
}

// describes reports whether a package was found in a content under its own name,
// that of a distribution's package included, so that nothing is missing where the name alone decides whether it is a gap.
func (img *image) describes(c rootfs.Content) bool {
	own, ok := ownName(img.entry(c))
	r := img.byPart[partKey{c.Layer, img.order[c.Layer][c.Entry]}]
	if !ok || r == nil {
		return false
	}
	if r.found.applied == nil {
		r.found.applied = map[string]bool{}
		for _, app := range r.found.Applications {
			r.found.applied[app.FilePath] = true
		}
		for _, p := range r.found.Owned {
			r.found.applied[p] = true
		}
	}
	return r.found.applied[own]
}

// contradictions refuses an image of which runtimes show different package
// databases or distributions: no inventory is right for all of them.
func (img *image) contradictions() error {
	for p, sights := range img.seen {
		if !decisive(p) {
			continue
		}
		for _, s := range sights[1:] {
			if s.content != sights[0].content {
				return undecidable("container runtimes show different contents of %s, so the packages of the image are not known",
					gate.Quoted(p, protocol.MaxNoteText))
			}
		}
	}
	return nil
}
