package rootfs

import (
	"path"
	"strings"
)

// rootPath is RootPath of github.com/containerd/continuity/fs, of which moby has
// a copy: links are followed until none is left. A link's target is joined to its
// directory by the text, with which ".." cancels what may be a link, but only if
// the link has a directory, and what stands behind a link is joined to its target
// by the text in any case. So the steps are repeated here as they are.
type rootPath struct {
	root *node
	s    *steps
	// host: absolute links in the middle of a path are those of the host, where
	// nothing is taken to be; otherwise the unpacker is in a chroot.
	host bool

	links    int
	absolute bool // an absolute link was followed
	escaped  bool // a relative link went over the root before an absolute one was followed
}

// follow returns the path, which begins with a slash.
func (r *rootPath) follow(p string) (string, error) {
	if p == "" {
		return "/", nil
	}
	for {
		before := r.links
		next, err := r.walk(p)
		if err != nil {
			return "", err
		}
		p = next
		if before == r.links {
			if next = path.Join("/", next); p == next {
				return p, nil
			}
			p = next
		}
	}
}

// walk is walkLinks there.
func (r *rootPath) walk(p string) (string, error) {
	switch dir, file := path.Split(p); {
	case dir == "":
		next, _, err := r.link(file)
		return next, err
	case file == "":
		if dir == "/" {
			return dir, nil
		}
		return r.walk(dir[:len(dir)-1])
	default:
		newDir, err := r.walk(dir)
		if err != nil {
			return "", err
		}
		next, linked, err := r.link(path.Join(newDir, file))
		if err != nil || !linked || path.IsAbs(next) {
			return next, err
		}
		return path.Join(newDir, next), nil
	}
}

// link is walkLink there.
func (r *rootPath) link(p string) (next string, linked bool, err error) {
	if r.links > maxUnpackHops {
		return "", false, errLoop
	}
	if p = path.Join("/", p); p == "/" {
		return p, false, nil
	}
	if len(p) >= maxPathBytes {
		return "", false, errName
	}
	n, err := r.lstat(p)
	if err != nil || n == nil || n.kind != Symlink {
		return p, false, err
	}
	if path.IsAbs(n.link) {
		r.absolute = true
	} else if to := path.Join(path.Dir(p)[1:], n.link); !r.absolute && (to == ".." || strings.HasPrefix(to, "../")) {
		r.escaped = true
	}
	r.links++
	return n.link, true, nil
}

// lstat is what the kernel says, nil when there is nothing. Links in the middle
// are those of targets that are not followed yet.
func (r *rootPath) lstat(p string) (*node, error) {
	how := opened
	if r.host {
		how = rooted
	}
	dir, base := path.Split(p[1:])
	at, err := resolve(r.root, dir, how, maxHops, r.s)
	switch {
	case err == errMissing, err == errEscapes, err == nil && at.at == nil:
		return nil, nil
	case err != nil:
		return nil, err
	case at.at.kind != Directory:
		return nil, errNotDirectory
	}
	return at.at.kids[base], nil
}

// follow finds where a path leads as RootPath does. Where no ".." is applied it
// leads where walking does, which is much faster; a walk that ends in a loop may
// not have come to one.
func (u *unpacker) follow(p string, host bool) (at place, escaped bool, err error) {
	at, err = resolve(u.root, p, walked, maxUnpackHops, u.steps)
	if err == errSteps || (!at.dotted && err != errLoop) {
		return at, false, err
	}
	r := &rootPath{root: u.root, s: u.steps, host: host}
	real, err := r.follow(p)
	if err != nil {
		return at, false, err
	}
	at, err = resolve(u.root, real, walked, 0, u.steps)
	at.linked, at.absolute = true, r.absolute
	return at, r.escaped, err
}
