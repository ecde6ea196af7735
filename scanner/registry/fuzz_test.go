package registry

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/digestgate/digestgate/gate"
)

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "5", "0", "-1", "1e9", "NaN", "Inf", "-Inf", "1e400", "35.852µs, allowed: 44000/minute", "Mon, 23 Nov 2026 12:00:05 GMT", "9223372036854775807h", "0x1p-2", "1_000"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		got, asked, ok := parseRetryAfter(s, now)
		if ok && (got < minPause || got > maxPause) || !ok && (got != 0 || asked != 0) || asked < 0 || asked > maxAsked {
			t.Errorf("parseRetryAfter(%q): got %s, asked %s, %v", s, got, asked, ok)
		}
	})
}

func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"`)
	f.Add(`Negotiate, Basic realm=x, Bearer realm="y\"`)
	f.Add(`a=b=c,,,"`)
	f.Fuzz(func(t *testing.T, line string) {
		got := parseChallenges(http.Header{"Www-Authenticate": {line}})
		if len(got) > maxChallenges {
			t.Errorf("%d challenges", len(got))
		}
		for _, c := range got {
			if c.scheme == "" || c.params == nil {
				t.Errorf("parseChallenges(%q): got %+v", line, got)
			}
		}
	})
}

// FuzzManifest checks what must hold of any document: it is refused, or it is
// one thing only, an image is never taken for something that is not analysed,
// and nothing that is analysed has a layer which is not.
func FuzzManifest(f *testing.F) {
	for _, s := range []string{
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":3}]}`,
		`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":2,"platform":{"os":"linux","architecture":"amd64"}}]}`,
		`{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`,
		`{"schemaVersion":1,"fsLayers":[]}`,
		`{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","artifactType":"application/spdx+json","blobs":[],"subject":{"digest":"sha256:bb"}}`,
		`{"Layers":1}`, `[]`, `{"a":{"a":{"a":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}}}`,
	} {
		f.Add("application/vnd.oci.image.manifest.v1+json", []byte(s))
		f.Add("", []byte(s))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		d, err := parseDocument(contentType, body)
		if err != nil {
			if !errors.Is(err, gate.ErrUnassessable) && !errors.Is(err, gate.ErrIntegrity) {
				t.Errorf("unclassified error %v", err)
			}
			return
		}
		if !json.Valid(body) {
			t.Error("accepted what is not JSON")
		}
		if d.index && len(d.Layers) > 0 || !d.index && len(d.Manifests) > 0 {
			t.Errorf("ambiguous: %s", body)
		}
		kind := d.kind()
		if d.index != (kind == gate.KindIndex) {
			t.Errorf("index %v has kind %q", d.index, kind)
		}
		runnable := !d.index && !d.artifact
		for _, l := range d.Layers {
			if runnable && isFileSystemLayer(l.MediaType) && kind != gate.KindImage {
				t.Errorf("an image has kind %q: %s", kind, body)
			}
		}
		if kind == gate.KindImage && d.whyUnassessable() == "" {
			for _, l := range d.Layers {
				if strings.Contains(l.MediaType, "encrypted") || len(l.URLs) > 0 || !isFileSystemLayer(l.MediaType) {
					t.Errorf("layer %+v would be analysed", l)
				}
			}
		}
		if d.layerBytes() < 0 {
			t.Error("sizes overflow")
		}
		_ = d.subject()
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}}`), 1)
	f.Add([]byte(`null`), 0)
	f.Fuzz(func(t *testing.T, raw []byte, layers int) {
		c, why := parseConfig(raw, layers)
		if why == "" && len(c.RootFS.DiffIDs) != layers {
			t.Errorf("%d layers, %d diff IDs accepted", layers, len(c.RootFS.DiffIDs))
		}
		newMatcher([]gate.Platform{{OS: "linux", Architecture: "amd64"}}).match(specs.Platform{OS: c.platform().OS, Architecture: c.platform().Architecture, Variant: c.Variant})
	})
}
