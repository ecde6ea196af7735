package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/registrytest"
)

func platformOf(s string) *v1.Platform {
	p, err := v1.ParsePlatform(s)
	if err != nil {
		panic(err)
	}
	return p
}

// child makes an image for a platform; named says whether its descriptor says
// so.
func child(t *testing.T, seed uint64, platform string, named bool) registrytest.Child {
	t.Helper()
	p := platformOf(platform)
	img, err := registrytest.RandomImage(seed, *p, 10)
	if err != nil {
		t.Fatal(err)
	}
	c := registrytest.Child{Add: img}
	if named {
		c.Platform = p
	}
	return c
}

// judged lists the platforms of an index's children, the judged ones with "+".
func judged(m gate.Manifest) []string {
	out := []string{}
	for _, c := range m.Children {
		s := c.Platform.String()
		if c.Judged {
			s = "+" + s
		}
		out = append(out, s)
	}
	return out
}

func TestExpandsIndexes(t *testing.T) {
	attestation := child(t, 90, "unknown/unknown", true)
	nested := func(children ...registrytest.Child) registrytest.Child {
		return registrytest.Child{Add: registrytest.NewIndex(children...)}
	}
	tests := map[string]struct {
		children []registrytest.Child
		want     []string
		why      string
	}{
		"two_platforms":           {[]registrytest.Child{child(t, 1, "linux/amd64", true), child(t, 2, "linux/arm64", true)}, []string{"+linux/amd64", "+linux/arm64"}, ""},
		"attestation_is_skipped":  {[]registrytest.Child{child(t, 1, "linux/amd64", true), attestation}, []string{"+linux/amd64"}, ""},
		"unknown_os_only":         {[]registrytest.Child{child(t, 1, "linux/amd64", true), child(t, 2, "unknown/amd64", true)}, []string{"+linux/amd64", "unknown/amd64"}, ""},
		"unknown_with_variant":    {[]registrytest.Child{child(t, 1, "linux/amd64", true), child(t, 2, "unknown/unknown/v1", true)}, []string{"+linux/amd64", "unknown/unknown/v1"}, ""},
		"every_match_is_judged":   {[]registrytest.Child{child(t, 1, "linux/amd64", true), child(t, 2, "linux/386", true), child(t, 3, "linux/arm/v7", true), child(t, 4, "linux/arm64/v8", true)}, []string{"+linux/amd64", "+linux/386", "+linux/arm/v7", "+linux/arm64/v8"}, ""},
		"amd64_variants":          {[]registrytest.Child{child(t, 1, "linux/amd64/v1", true), child(t, 2, "linux/amd64/v3", true)}, []string{"+linux/amd64/v1", "linux/amd64/v3"}, ""},
		"same_platform_twice":     {[]registrytest.Child{child(t, 1, "linux/amd64", true), child(t, 2, "linux/amd64", true)}, []string{"+linux/amd64", "+linux/amd64"}, ""},
		"linux_not_configured":    {[]registrytest.Child{child(t, 1, "linux/amd64", true), child(t, 2, "linux/s390x", true)}, []string{"+linux/amd64", "linux/s390x"}, ""},
		"other_capitals":          {[]registrytest.Child{child(t, 1, "Linux/AMD64", true)}, []string{"+Linux/AMD64"}, ""},
		"read_from_configuration": {[]registrytest.Child{child(t, 1, "linux/amd64", false), child(t, 2, "linux/s390x", false), child(t, 3, "windows/amd64", false)}, []string{"+linux/amd64", "linux/s390x", "windows/amd64"}, ""},
		"nested":                  {[]registrytest.Child{nested(child(t, 1, "linux/amd64", true)), nested(nested(child(t, 2, "linux/arm64", true)))}, []string{"+linux/amd64", "+linux/arm64"}, ""},
		"nested_too_deep":         {[]registrytest.Child{nested(nested(nested(child(t, 1, "linux/amd64", true))))}, []string{}, "nested deeper than 2"},
		"windows_only":            {[]registrytest.Child{child(t, 1, "windows/amd64", true)}, []string{"windows/amd64"}, "no Linux platform: the index is for windows/amd64"},
		"none_configured":         {[]registrytest.Child{child(t, 1, "linux/s390x", true)}, []string{"linux/s390x"}, "no configured platform"},
		"attestations_only":       {[]registrytest.Child{attestation}, []string{}, "no images"},
		"empty":                   {nil, []string{}, "no images"},
	}
	r := newRig(t, registrytest.Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := r.PushIndex(r.loc.Repository, "", registrytest.NewIndex(tt.children...))
			if err != nil {
				t.Fatal(err)
			}
			m, err := r.client.Resolve(t.Context(), r.loc, string(d))
			if err != nil {
				t.Fatalf("Resolve: %v", err)
			}
			if m.Kind != gate.KindIndex || m.Digest != d {
				t.Errorf("got %+v", m)
			}
			if diff := cmp.Diff(tt.want, judged(m)); diff != "" {
				t.Errorf("children (-want +got):\n%s", diff)
			}
			if (m.Unassessable == "") != (tt.why == "") || !strings.Contains(m.Unassessable, tt.why) {
				t.Errorf("Unassessable: got %q, want %q", m.Unassessable, tt.why)
			}
		})
	}
}

func TestConfiguredPlatformsDecide(t *testing.T) {
	platforms, err := ParsePlatforms([]string{"linux/arm/v7"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, registrytest.Options{}, func(_ *Config, o *Options) { o.Platforms = platforms })
	d, err := r.PushIndex(r.loc.Repository, "", registrytest.NewIndex(child(t, 1, "linux/amd64", true), child(t, 2, "linux/arm/v6", true), child(t, 3, "linux/arm64", true)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.client.Resolve(t.Context(), r.loc, string(d))
	if diff := cmp.Diff([]string{"linux/amd64", "+linux/arm/v6", "linux/arm64"}, judged(m)); err != nil || diff != "" {
		t.Errorf("%v, children (-want +got):\n%s", err, diff)
	}
}

// putIndex stores an index whose children need not exist.
func putIndex(t *testing.T, r rig, descriptors ...map[string]any) gate.Digest {
	t.Helper()
	if descriptors == nil {
		descriptors = []map[string]any{}
	}
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": descriptors})
	if err != nil {
		t.Fatal(err)
	}
	// The registry checks children of indexes only under an index's type.
	d, err := r.PutManifest(r.loc.Repository, "", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func descriptorFor(i int, mediaType string, platform map[string]string) map[string]any {
	d := map[string]any{"mediaType": mediaType, "digest": fmt.Sprintf("sha256:%064x", i), "size": 100}
	if platform != nil {
		d["platform"] = platform
	}
	return d
}

func TestChildrenThatCannotBeExcludedAreJudged(t *testing.T) {
	r := newRig(t, registrytest.Options{})
	put := func(a registrytest.Artifact) map[string]any {
		d, err := r.PutArtifact(r.loc.Repository, "", a)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"mediaType": ociImage, "digest": d, "size": 1}
	}
	layer := blobOf(ociLayer, "layer")
	hidden, err := r.PushIndex(r.loc.Repository, "", registrytest.NewIndex(child(t, 1, "linux/amd64", true)))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		descriptor map[string]any
		judged     bool
	}{
		"missing_child":            {descriptorFor(1, ociImage, nil), true},
		"configuration_missing":    {descriptorFor(2, ociImage, nil), true},
		"configuration_unreadable": {put(registrytest.Artifact{Config: blobOf(typeOCIConfig, "no"), Layers: []registrytest.Blob{layer}}), true},
		"no_architecture":          {put(registrytest.Artifact{Config: configOf(1, `"os":"linux",`), Layers: []registrytest.Blob{layer}}), true},
		"unknown_media_type":       {descriptorFor(3, "text/plain", map[string]string{"os": "linux", "architecture": "amd64"}), true},
		"hidden_index":             {map[string]any{"mediaType": ociImage, "digest": hidden, "size": 1}, true},
		"signature":                {put(registrytest.Artifact{Config: configOf(1, ""), Layers: []registrytest.Blob{blobOf(signatureTypes[0], "{}")}}), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := r.client.Resolve(t.Context(), r.loc, string(putIndex(t, r, tt.descriptor)))
			if err != nil || len(m.Children) != 1 || m.Children[0].Judged != tt.judged {
				t.Errorf("got %+v, %v, want judged %v", m, err, tt.judged)
			}
		})
	}
}

func TestIndexLimits(t *testing.T) {
	r := newRig(t, registrytest.Options{})
	amd64 := map[string]string{"os": "linux", "architecture": "amd64"}
	many := func(n int) []map[string]any {
		var out []map[string]any
		for i := range n {
			out = append(out, descriptorFor(i, ociImage, amd64))
		}
		return out
	}
	m, err := r.client.Resolve(t.Context(), r.loc, string(putIndex(t, r, many(MaxDescriptors)...)))
	if err != nil || len(m.Children) != MaxDescriptors || m.Unassessable != "" {
		t.Errorf("at the limit: %d children, %q, %v", len(m.Children), m.Unassessable, err)
	}
	m, err = r.client.Resolve(t.Context(), r.loc, string(putIndex(t, r, many(MaxDescriptors+1)...)))
	if err != nil || len(m.Children) != 0 || !strings.Contains(m.Unassessable, "more than 200") {
		t.Errorf("over the limit: %d children, %q, %v", len(m.Children), m.Unassessable, err)
	}
	nested := func(n int) map[string]any {
		return map[string]any{"mediaType": typeOCIIndex, "digest": putIndex(t, r, many(n)...), "size": 1}
	}
	m, err = r.client.Resolve(t.Context(), r.loc, string(putIndex(t, r, nested(150), nested(151))))
	if err != nil || !strings.Contains(m.Unassessable, "more than 200") {
		t.Errorf("nested over the limit: %q, %v", m.Unassessable, err)
	}

	img, _ := r.push(t, "", 10)
	_, err = r.client.Resolve(t.Context(), r.loc, string(putIndex(t, r, map[string]any{"mediaType": typeOCIIndex, "digest": img, "size": 1})))
	if !errors.Is(err, gate.ErrUnassessable) {
		t.Errorf("an image named as an index: got %v", err)
	}
	_, err = r.client.Resolve(t.Context(), r.loc, string(putIndex(t, r, descriptorFor(1, typeOCIIndex, nil))))
	if !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("a nested index that is missing: got %v", err)
	}
}
