package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// snapshotTime is a time at which Debian's archive had every package of the table.
const snapshotTime = "20261201T000000Z"

// snapshot keeps every version of every package for ever; a mirror keeps the newest.
const snapshot = "https://snapshot.debian.org/archive"

// distribution is what the packages are from, for scanners.
const distribution, distributionName = "12", "bookworm"

// debianPackage is a package of the image. Both are for all architectures, and their
// maintainer scripts are not run: [baseTree] does what is needed of them.
type debianPackage struct {
	archive string // debian or debian-security
	pool    string // the folder in the archive
	name    string
	version string
	sha256  string // decides, wherever the package comes from
}

// debianPackages is the table. To move to a newer version, take the line of
// "apt-get download --print-uris NAME" on Debian 12, and set snapshotTime to today.
var debianPackages = []debianPackage{
	{"debian-security", "pool/updates/main/c/ca-certificates", "ca-certificates", "20250419~deb12u2", "b9f76b5271a7ac373fd5e7e1b5b826a71ddd702b42a0d104955ecb1acfffc94b"},
	{"debian-security", "pool/updates/main/t/tzdata", "tzdata", "2026f-0+deb12u1", "3254eb870c8a949518214805aee5e4276af7699988ea8b9a3a583cd0f1eab31c"},
}

// maxPackage is far above the size of both (308 kB) and bounds what a mirror may send.
const maxPackage = 8 << 20

func (p debianPackage) file() string { return p.name + "_" + p.version + "_all.deb" }

// url is the address of the package at a mirror, or at the snapshots.
func (p debianPackage) url(mirror string) string {
	archive := p.archive
	if mirror == snapshot {
		archive += "/" + snapshotTime
	}
	escaped := strings.NewReplacer("+", "%2b", "~", "%7e").Replace(p.file())
	return strings.TrimSuffix(mirror, "/") + "/" + archive + "/" + p.pool + "/" + escaped
}

// fetcher downloads packages once.
type fetcher struct {
	cache   string   // a directory; files in it are checked before they are used
	mirrors []string // in the order in which they are asked
}

// fetchAll are the bytes of the packages of the table.
func fetchAll(ctx context.Context, f fetcher) (map[debianPackage][]byte, error) {
	all := map[debianPackage][]byte{}
	for _, p := range debianPackages {
		raw, err := f.fetch(ctx, p)
		if err != nil {
			return nil, err
		}
		all[p] = raw
	}
	return all, nil
}

// fetch returns a package whose checksum is right, from the cache or from the first mirror
// that has it: a mirror drops a version when there is a newer one.
func (f fetcher) fetch(ctx context.Context, p debianPackage) ([]byte, error) {
	cached := filepath.Join(f.cache, p.file())
	if raw, err := os.ReadFile(cached); err == nil && p.check(raw) == nil {
		return raw, nil
	}
	var problems []error
	for _, mirror := range f.mirrors {
		raw, err := download(ctx, p.url(mirror))
		if err == nil {
			err = p.check(raw)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", p.url(mirror), err))
			continue
		}
		return raw, keep(cached, raw)
	}
	return nil, fmt.Errorf("package %s %s: no source has it; put the file into %s, or take a newer version into the table of tools/image/packages.go: %w", p.name, p.version, f.cache, errors.Join(problems...))
}

func (p debianPackage) check(raw []byte) error {
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); got != p.sha256 {
		return fmt.Errorf("its SHA-256 is %s, want %s", got, p.sha256)
	}
	return nil
}

func download(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", res.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxPackage+1))
	if err == nil && len(raw) > maxPackage {
		err = fmt.Errorf("it is larger than %d bytes", maxPackage)
	}
	return raw, err
}

// keep puts a file into the cache, complete or not at all.
func keep(path string, raw []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, bytes.NewReader(raw))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
