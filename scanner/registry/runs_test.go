package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// putImage stores a manifest of one layer whose parts are called as told.
func putImage(t *testing.T, r rig, manifestType, configType, layerType, config string) gate.Digest {
	t.Helper()
	parts := []map[string]any{}
	for _, p := range []fake.Blob{blobOf(configType, config), blobOf(layerType, "layer")} {
		d, err := r.PutBlob(p.Content)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, map[string]any{"mediaType": p.MediaType, "digest": d, "size": len(p.Content)})
	}
	m := map[string]any{"schemaVersion": 2, "config": parts[0], "layers": parts[1:]}
	if manifestType != "" {
		m["mediaType"] = manifestType
	}
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.PutManifest(r.loc.Repository, "", manifestType, body)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestWhatRunsIsAnImage: a file system layer makes an image, whatever its
// configuration is called. What a node may run besides is refused.
func TestWhatRunsIsAnImage(t *testing.T) {
	const dockerLayer = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	config := string(configOf(1, linuxAMD64).Content)
	r := newRig(t, fake.Options{})
	for _, manifestType := range []string{typeDockerManifest, typeOCIManifest, ""} {
		for _, configType := range []string{typeDockerConfig, typeOCIConfig, "application/octet-stream", "text/html", "application/json", "", typeHelmConfig,
			"application/vnd.oci.empty.v1+json", signatureTypes[1], bundlePrefix + ".v0.3+json", "application/spdx+json"} {
			for layerType, why := range map[string]string{
				dockerLayer: "", ociLayer: "", "application/vnd.docker.image.rootfs.diff.tar": "", "application/vnd.oci.image.layer.v1.tar+zstd": "",
				"application/vnd.oci.image.layer.v1.erofs": "unknown type", "application/vnd.docker.image.rootfs.diff.tar.gzip+x": "unknown type",
				ociLayer + "+encrypted": "encrypted",
				"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": "foreign", "application/vnd.oci.image.layer.nondistributable.v1.tar": "foreign",
			} {
				d := putImage(t, r, manifestType, configType, layerType, config)
				m, err := r.client.Resolve(t.Context(), r.loc, string(d))
				if err != nil || m.Kind != gate.KindImage || (m.Unassessable == "") != (why == "") || !strings.Contains(m.Unassessable, why) {
					t.Errorf("manifest %q, config %q, layer %q: got %+v, %v, want an image (%q)", manifestType, configType, layerType, m, err, why)
				}
				img, err := r.client.Image(t.Context(), r.loc, d)
				if (err == nil) != (why == "") || err != nil && !errors.Is(err, gate.ErrUnassessable) || err == nil && img.Platform.String() != "linux/amd64" {
					t.Errorf("manifest %q, config %q, layer %q: Image: got %+v, %v", manifestType, configType, layerType, img.Platform, err)
				}
			}
		}
		for _, layerType := range []string{"", "text/html", "application/octet-stream", "application/vnd.docker.image"} {
			d := putImage(t, r, manifestType, "application/octet-stream", layerType, config)
			m, err := r.client.Resolve(t.Context(), r.loc, string(d))
			if err != nil || m.Kind == gate.KindImage && m.Unassessable == "" || m.Kind == gate.KindIndex {
				t.Errorf("manifest %q, layer %q: got %+v, %v, want a refusal", manifestType, layerType, m, err)
			}
			if _, err := r.client.Image(t.Context(), r.loc, d); !errors.Is(err, gate.ErrUnassessable) {
				t.Errorf("manifest %q, layer %q: Image: got %v", manifestType, layerType, err)
			}
		}
	}
}

// TestPlatformOfAConfiguration: what a configuration leaves out is what a node
// takes it for.
func TestPlatformOfAConfiguration(t *testing.T) {
	r := newRig(t, fake.Options{})
	for words, tt := range map[string]struct{ platform, why string }{
		``:                                     {"linux", ""},
		`"architecture":"amd64",`:              {"linux/amd64", ""},
		`"os":"","architecture":"arm64",`:      {"linux/arm64", ""},
		`"os":null,"architecture":"arm64",`:    {"linux/arm64", ""},
		`"os":"Linux","architecture":"amd64",`: {"linux/amd64", ""},
		`"os":"linux",`:                        {"linux", ""},
		`"os":"linux","architecture":"arm64","variant":"v8",`: {"linux/arm64/v8", ""},
		`"os":"windows","architecture":"amd64",`:              {"windows/amd64", "no Linux platform"},
		`"os":"Windows",`:                                     {"windows", "no Linux platform"},
		`"os":" linux",`:                                      {" linux", "no Linux platform"},
		`"os":"unknown","architecture":"unknown",`:            {"unknown/unknown", "no Linux platform"},
		`"os":5,`: {"linux", "not valid JSON"},
	} {
		d := putImage(t, r, typeOCIManifest, typeOCIConfig, ociLayer, string(configOf(1, words).Content))
		m, err := r.client.Resolve(t.Context(), r.loc, string(d))
		if err != nil || m.Platform.String() != tt.platform || (m.Unassessable == "") != (tt.why == "") || !strings.Contains(m.Unassessable, tt.why) {
			t.Errorf("%s: got %q, %q, %v, want %q, %q", words, m.Platform, m.Unassessable, err, tt.platform, tt.why)
		}
		img, err := r.client.Image(t.Context(), r.loc, d)
		if (err == nil) != (tt.why == "") || err == nil && img.Platform != m.Platform {
			t.Errorf("%s: Image: got %q, %v", words, img.Platform, err)
		}
	}
}

// TestNodesChoose: the union of what containerd, CRI-O and Docker choose on a
// node of a configured platform.
func TestNodesChoose(t *testing.T) {
	tests := []struct {
		configured string
		chosen     []string
		not        []string
	}{
		{"linux/amd64", []string{"linux/amd64", "linux/amd64/v1", "linux/amd64/v4", "linux/386", "Linux/x86_64", "/amd64"}, []string{"linux/arm64", "windows/amd64", "linux/", "linux/amd64/v5"}},
		{"linux/amd64/v2", []string{"linux/amd64", "linux/amd64/v2"}, []string{"linux/amd64/v3"}},
		{"linux/arm64", []string{"linux/arm64", "linux/arm64/v8", "linux/arm/v7", "linux/arm"}, []string{"linux/amd64", "linux/arm64/v9"}},
		{"linux/arm/v6", []string{"linux/arm/v6", "linux/arm/v5", "linux/arm"}, []string{"linux/arm/v7", "linux/arm64"}},
	}
	for _, tt := range tests {
		list, err := ParsePlatforms([]string{tt.configured})
		if err != nil {
			t.Fatal(err)
		}
		c := &Client{matcher: newMatcher(list)}
		for want, images := range map[bool][]string{true: tt.chosen, false: tt.not} {
			for _, s := range images {
				part := append(strings.Split(s, "/"), "", "")
				p := gate.Platform{OS: part[0], Architecture: part[1], Variant: part[2]}
				if got := c.Judges(p); got != want {
					t.Errorf("configured %s: Judges(%q) = %v, want %v", tt.configured, s, got, want)
				}
				features := specs.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSFeatures: []string{"x"}, OSVersion: "1"}
				if got := c.matcher.match(features); got != want {
					t.Errorf("configured %s: %q with features: got %v, want %v", tt.configured, s, got, want)
				}
			}
		}
	}
}

// TestOverTheLimit: that a manifest is too large is a fact about its digest only
// when the bytes have it.
func TestOverTheLimit(t *testing.T) {
	r := newRig(t, fake.Options{})
	body := []byte(fmt.Sprintf(`{"schemaVersion":2,"x":%q,"manifests":[]}`, strings.Repeat("x", MaxManifestBytes)))
	right, other := fake.DigestOf(body), fake.DigestOf([]byte("other"))
	for name, tt := range map[string]struct {
		ref     gate.Digest
		body    []byte
		unsized bool
		want    error
	}{
		"right":          {right, body, false, gate.ErrUnassessable},
		"right_unsized":  {right, body, true, gate.ErrUnassessable},
		"other":          {other, body, false, gate.ErrIntegrity},
		"other_unsized":  {other, body, true, gate.ErrIntegrity},
		"beyond_hashing": {other, make([]byte, maxHashedBytes+1), true, gate.ErrIntegrity},
	} {
		t.Run(name, func(t *testing.T) {
			defer r.Reset()
			r.Fail(fake.Fault{Path: "/v2/**/manifests/*", Body: tt.body, Unsized: tt.unsized})
			for _, call := range []func() error{
				func() error { _, err := r.client.Resolve(t.Context(), r.loc, string(tt.ref)); return err },
				func() error { _, err := r.client.Image(t.Context(), r.loc, tt.ref); return err },
			} {
				err := call()
				if !errors.Is(err, tt.want) || tt.want != gate.ErrUnassessable && errors.Is(err, gate.ErrUnassessable) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			}
		})
	}
}
