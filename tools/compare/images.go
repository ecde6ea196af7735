//go:build goexperiment.jsonv2

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// testCase are images that are measured together.
type testCase struct {
	name   string
	images []string // repository:tag
	built  []v1.Image
}

// cases makes the images. They are the same in each run.
func cases() ([]testCase, error) {
	base := files(debian(90, 300))
	forty := [][]file{debian(90, 20)}
	for i := range 39 {
		forty = append(forty, []file{{fmt.Sprintf("app/%d/config.json", i), fmt.Sprintf(`{"number": %d}`, i)}})
	}
	list := []testCase{
		{name: "forty small layers"},
		{name: "small Node, two layers"},
		{name: "one small layer"},
		{name: "ten images sharing a base"},
	}
	stacks := [][][]file{forty, {base, node(120, 1)}, {debian(20, 5)}}
	for i, layers := range stacks {
		img, err := build(layers)
		if err != nil {
			return nil, err
		}
		list[i].add(img)
	}
	large, err := layer(files(debian(300, 1200)))
	if err != nil {
		return nil, err
	}
	for i := range 10 {
		img, err := build([][]file{node(40, i)}, large)
		if err != nil {
			return nil, err
		}
		list[3].add(img)
	}
	if *layerFlag != "" {
		layer, err := tarball.LayerFromFile(*layerFlag)
		if err != nil {
			return nil, err
		}
		img, err := mutate.AppendLayers(empty.Image, layer)
		if err != nil {
			return nil, err
		}
		list = append(list, testCase{name: "-layer"})
		list[len(list)-1].add(img)
	}
	return list, nil
}

func (c *testCase) add(img v1.Image) {
	c.built = append(c.built, img)
	c.images = append(c.images, fmt.Sprintf("%s:%d", strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, strings.ToLower("c"+c.name+"c")), len(c.images)))
}

// serve starts the registry and pushes the images.
func serve(cases []testCase) (host string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	go func() { _ = server.Serve(l) }()
	stop = func() { server.Close() }
	host = l.Addr().String()
	for _, c := range cases {
		for i, img := range c.built {
			ref, err := name.ParseReference(host+"/"+c.images[i], name.Insecure)
			if err == nil {
				err = remote.Write(ref, img)
			}
			if err != nil {
				stop()
				return "", nil, err
			}
		}
	}
	return host, stop, nil
}

type file struct{ name, text string }

func files(lists ...[]file) (all []file) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// debian is a distribution of so many packages and files of 8 kB.
func debian(packages, others int) []file {
	var status strings.Builder
	for i := range packages {
		fmt.Fprintf(&status, "Package: package-%d\nStatus: install ok installed\nPriority: required\nSection: libs\nMaintainer: Some One <some@one.example>\n"+
			"Architecture: amd64\nSource: source-%d\nVersion: 1.%d.0-1+deb12u1\nDepends: libc6 (>= 2.34)\nDescription: a package\n of %d\n\n", i, i/3, i, packages)
	}
	list := []file{
		{"etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n"},
		{"etc/debian_version", "12.5\n"},
		{"var/lib/dpkg/status", status.String()},
	}
	words := words(1)
	for i := range others {
		list = append(list, file{fmt.Sprintf("opt/data/%d/file-%d.conf", i%50, i), words(8 << 10)})
	}
	return list
}

// node is an application with so many packages of npm.
func node(packages, seed int) []file {
	words := words(uint64(seed))
	list := []file{{"app/package.json", fmt.Sprintf(`{"name": "app-%d", "version": "1.0.0"}`, seed)}}
	for i := range packages {
		dir := fmt.Sprintf("app/node_modules/package-%d-%d/", seed, i)
		list = append(list, file{dir + "package.json", fmt.Sprintf(`{"name": "package-%d-%d", "version": "%d.2.3", "license": "MIT", "description": %q}`, seed, i, i, words(400))})
		for k := range 4 {
			list = append(list, file{fmt.Sprintf("%slib/%d.js", dir, k), words(6 << 10)})
		}
	}
	return list
}

// words makes text that looks like source.
func words(seed uint64) func(n int) string {
	r := rand.New(rand.NewPCG(seed, 2))
	vocabulary := strings.Fields("const function return if else for let var module exports require this new string number value key token request response error config path file data list map = == ( ) { } ; , . => + - 0 1 10 'utf8' \"name\"")
	return func(n int) string {
		var b strings.Builder
		for b.Len() < n {
			b.WriteString(vocabulary[r.IntN(len(vocabulary))])
			if b.WriteByte(' '); r.IntN(12) == 0 {
				fmt.Fprintf(&b, "x%d\n", r.IntN(1e6))
			}
		}
		return b.String()
	}
}

// build makes an image of layers, on top of a base.
func build(layers [][]file, base ...v1.Layer) (v1.Image, error) {
	img, err := mutate.AppendLayers(empty.Image, base...)
	if err != nil {
		return nil, err
	}
	for _, list := range layers {
		l, err := layer(list)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			return nil, err
		}
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", "amd64"
	cfg.Config.Env = []string{"PATH=/usr/bin", "NODE_VERSION=20"}
	return mutate.ConfigFile(img, cfg)
}

func layer(list []file) (v1.Layer, error) {
	packed, err := pack(list)
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil })
}

func pack(list []file) ([]byte, error) {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, f := range list {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text)), Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err := z.Close()
	return buf.Bytes(), err
}
