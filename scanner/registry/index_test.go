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
	"github.com/digestgate/digestgate/scanner/registry/fake"
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
func child(t *testing.T, seed uint64, platform string, named bool) fake.Child {
	t.Helper()
	p := platformOf(platform)
	img, err := fake.RandomImage(seed, *p, 10)
	if err != nil {
		t.Fatal(err)
	}
	c := fake.Child{Add: img}
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
	nested := func(children ...fake.Child) fake.Child {
		return fake.Child{Add: fake.NewIndex(children...)}
	}
	tests := map[string]struct {
		children []fake.Child
		want     []string
		why      string
	}{
		"two_platforms":          {[]fake.Child{child(t, 1, "linux/amd64", true), child(t, 2, "linux/arm64", true)}, []string{"+linux/amd64", "+linux/arm64"}, ""},
		"attestation_is_skipped": {[]fake.Child{child(t, 1, "linux/amd64", true), attestation}, []string{"+linux/amd64"}, ""},
		"unknown_os_only":        {[]fake.Child{child(t, 1, "linux/amd64", true), child(t, 2, "unknown/amd64", true)}, []string{"+linux/amd64", "unknown/amd64"}, ""},
		"unknown_with_variant":   {[]fake.Child{child(t, 1, "linux/amd64", true), child(t, 2, "unknown/unknown/v1", true)}, []string{"+linux/amd64", "unknown/unknown/v1"}, ""},
		"every_match_is_judged":  {[]fake.Child{child(t, 1, "linux/amd64", true), child(t, 2, "linux/386", true), child(t, 3, "linux/arm/v7", true), child(t, 4, "linux/arm64/v8", true)}, []string{"+linux/amd64", "+linux/386", "+linux/arm/v7", "+linux/arm64/v8"}, ""},
		"amd64_variants":         {[]fake.Child{child(t, 1, "linux/amd64/v1", true), child(t, 2, "linux/amd64/v3", true)}, []string{"+linux/amd64/v1", "+linux/amd64/v3"}, ""}, // Docker takes the highest
		"same_platform_twice":    {[]fake.Child{child(t, 1, "linux/amd64", true), child(t, 2, "linux/amd64", true)}, []string{"+linux/amd64", "+linux/amd64"}, ""},
		"linux_not_configured":   {[]fake.Child{child(t, 1, "linux/amd64", true), child(t, 2, "linux/s390x", true)}, []string{"+linux/amd64", "linux/s390x"}, ""},
		"other_capitals":         {[]fake.Child{child(t, 1, "Linux/AMD64", true)}, []string{"+Linux/AMD64"}, ""},
		"no_platform":            {[]fake.Child{child(t, 1, "linux/amd64", false), child(t, 2, "linux/s390x", false), child(t, 3, "windows/amd64", false)}, []string{"+", "+", "+"}, ""},
		"nested":                 {[]fake.Child{nested(child(t, 1, "linux/amd64", true)), nested(nested(child(t, 2, "linux/arm64", true)))}, []string{"+linux/amd64", "+linux/arm64"}, ""},
		"nested_too_deep":        {[]fake.Child{nested(nested(nested(child(t, 1, "linux/amd64", true))))}, []string{}, "nested deeper than 2"},
		"windows_only":           {[]fake.Child{child(t, 1, "windows/amd64", true)}, []string{"windows/amd64"}, "no Linux platform: the index is for windows/amd64"},
		"none_configured":        {[]fake.Child{child(t, 1, "linux/s390x", true)}, []string{"linux/s390x"}, "no configured platform"},
		"attestations_only":      {[]fake.Child{attestation}, []string{}, "no images"},
		"empty":                  {nil, []string{}, "no images"},
	}
	r := newRig(t, fake.Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := r.PushIndex(r.loc.Repository, "", fake.NewIndex(tt.children...))
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

// TestAttestationsInAnIndex: what BuildKit puts into an index beside its images is
// noted with the image that it is about, and is never a child. Only what is in the
// same index can be spoken of.
func TestAttestationsInAnIndex(t *testing.T) {
	r := newRig(t, fake.Options{})
	image, other := child(t, 1, "linux/amd64", true), child(t, 2, "linux/arm64", true)
	digestOf := func(c fake.Child) gate.Digest {
		t.Helper()
		h, err := c.Add.(v1.Image).Digest()
		if err != nil {
			t.Fatal(err)
		}
		return gate.Digest(h.String())
	}
	about := func(seed uint64, kind, digest string) fake.Child {
		c := child(t, seed, "unknown/unknown", true)
		c.Annotations = map[string]string{"vnd.docker.reference.type": kind, "vnd.docker.reference.digest": digest}
		return c
	}
	first, second := about(90, "attestation-manifest", string(digestOf(image))), about(91, "attestation-manifest", string(digestOf(other)))
	nested := fake.Child{Add: fake.NewIndex(other, second)}
	for name, tt := range map[string]struct {
		children []fake.Child
		want     []gate.Attestation
	}{
		"buildkit":               {[]fake.Child{image, first}, []gate.Attestation{{Digest: digestOf(first), Subject: digestOf(image)}}},
		"before_its_image":       {[]fake.Child{first, image}, []gate.Attestation{{Digest: digestOf(first), Subject: digestOf(image)}}},
		"nested":                 {[]fake.Child{image, nested}, []gate.Attestation{{Digest: digestOf(second), Subject: digestOf(other)}}},
		"about_what_is_outside":  {[]fake.Child{image, second}, nil},
		"of_another_type":        {[]fake.Child{image, about(92, "sbom", string(digestOf(image)))}, nil},
		"about_no_digest":        {[]fake.Child{image, about(93, "attestation-manifest", "v1")}, nil},
		"without_annotations":    {[]fake.Child{image, child(t, 94, "unknown/unknown", true)}, nil},
		"on_a_runnable_platform": {[]fake.Child{image, {Add: other.Add, Platform: other.Platform, Annotations: first.Annotations}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := r.PushIndex(r.loc.Repository, "", fake.NewIndex(tt.children...))
			if err != nil {
				t.Fatal(err)
			}
			m, err := r.client.Resolve(t.Context(), r.loc, string(d))
			if err != nil || m.Unassessable != "" {
				t.Fatalf("got %+v, %v", m, err)
			}
			if diff := cmp.Diff(tt.want, m.Attestations); diff != "" {
				t.Errorf("attestations (-want +got):\n%s", diff)
			}
			for _, c := range m.Children {
				if !c.Judged || c.Digest == digestOf(first) {
					t.Errorf("child %+v: want the images alone, each judged whatever its annotations", c)
				}
			}
		})
	}
}

func TestConfiguredPlatformsDecide(t *testing.T) {
	platforms, err := ParsePlatforms([]string{"linux/arm/v7"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, fake.Options{}, func(_ *Config, o *Options) { o.Platforms = platforms })
	d, err := r.PushIndex(r.loc.Repository, "", fake.NewIndex(child(t, 1, "linux/amd64", true), child(t, 2, "linux/arm/v6", true), child(t, 3, "linux/arm64", true)))
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

// TestChildrenWithoutPlatformAreJudged: whatever they say of themselves.
func TestChildrenWithoutPlatformAreJudged(t *testing.T) {
	r := newRig(t, fake.Options{})
	put := func(a fake.Artifact) map[string]any {
		d, err := r.PutArtifact(r.loc.Repository, "", a)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"mediaType": ociImage, "digest": d, "size": 1}
	}
	layer := blobOf(ociLayer, "layer")
	hidden, err := r.PushIndex(r.loc.Repository, "", fake.NewIndex(child(t, 1, "linux/amd64", true)))
	if err != nil {
		t.Fatal(err)
	}
	at := func(platform map[string]any) map[string]any {
		return map[string]any{"mediaType": ociImage, "digest": fmt.Sprintf("sha256:%064x", 9), "size": 1, "platform": platform}
	}
	with := func(d map[string]any, key string, value any) map[string]any { d[key] = value; return d }
	tests := map[string]struct {
		descriptor map[string]any
		judged     bool
	}{
		"missing_child":            {descriptorFor(1, ociImage, nil), true},
		"configuration_missing":    {descriptorFor(2, ociImage, nil), true},
		"configuration_unreadable": {put(fake.Artifact{Config: blobOf(typeOCIConfig, "no"), Layers: []fake.Blob{layer}}), true},
		"configuration_empty":      {put(fake.Artifact{Config: blobOf(typeOCIConfig, "{}"), Layers: []fake.Blob{layer}}), true},
		"configuration_html":       {put(fake.Artifact{Config: blobOf("text/html", "{}"), Layers: []fake.Blob{layer}}), true},
		"other_architecture":       {put(fake.Artifact{Config: configOf(1, `"os":"linux","architecture":"s390x",`), Layers: []fake.Blob{layer}}), true},
		"windows":                  {put(fake.Artifact{Config: configOf(1, `"os":"windows","architecture":"amd64",`), Layers: []fake.Blob{layer}}), true},
		"no_architecture":          {put(fake.Artifact{Config: configOf(1, `"os":"linux",`), Layers: []fake.Blob{layer}}), true},
		"odd_layer":                {put(fake.Artifact{Config: configOf(1, linuxAMD64), Layers: []fake.Blob{blobOf("text/plain", "x")}}), true},
		"signature":                {put(fake.Artifact{Config: configOf(1, ""), Layers: []fake.Blob{blobOf(signatureTypes[0], "{}")}}), true},
		"attestation":              {put(fake.Artifact{Config: configOf(1, `"os":"unknown","architecture":"unknown",`), Layers: []fake.Blob{blobOf(inToto, "{}")}}), true},
		"artifact":                 {put(fake.Artifact{ArtifactType: "application/vnd.example"}), true},
		"artifact_by_descriptor":   {with(descriptorFor(4, ociImage, nil), "artifactType", "application/vnd.example"), true},
		"chart":                    {put(fake.Artifact{Config: blobOf(typeHelmConfig, "{}"), Layers: []fake.Blob{blobOf("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "x")}}), true},
		"hidden_index":             {map[string]any{"mediaType": ociImage, "digest": hidden, "size": 1}, true},
		"unknown_media_type":       {descriptorFor(3, "text/plain", nil), true},
		"no_media_type":            {descriptorFor(3, "", nil), true},
		"size_is_negative":         {with(descriptorFor(3, ociImage, nil), "size", -1), true},
		"platform_null":            {with(descriptorFor(3, ociImage, nil), "platform", nil), true},
		"platform_empty":           {at(map[string]any{}), true}, // Docker
		"variant_only":             {at(map[string]any{"variant": "v7"}), true},
		"architecture_only":        {at(map[string]any{"architecture": "amd64"}), true}, // containerd: the node's own system
		"os_only":                  {at(map[string]any{"os": "linux"}), false},
		"other_os_only":            {at(map[string]any{"os": "windows"}), false},
		"odd_type_and_platform":    {descriptorFor(3, "text/plain", map[string]string{"os": "linux", "architecture": "amd64"}), true},
		"features":                 {at(map[string]any{"os": "linux", "architecture": "amd64", "os.features": []string{"gpu"}}), true},
		"features_of_another":      {at(map[string]any{"os": "linux", "architecture": "s390x", "os.features": []string{"gpu"}}), false},
		"unknown_with_features":    {at(map[string]any{"os": "unknown", "architecture": "unknown", "os.features": []string{"gpu"}}), false},
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

// TestChildrenWithOtherDigests: what we cannot read spoils an index only where a
// node would choose it.
func TestChildrenWithOtherDigests(t *testing.T) {
	r := newRig(t, fake.Options{})
	amd64, arm64, s390x := map[string]string{"os": "linux", "architecture": "amd64"}, map[string]string{"os": "linux", "architecture": "arm64"}, map[string]string{"os": "linux", "architecture": "s390x"}
	named := func(digest, mediaType string, platform map[string]string) map[string]any {
		d := descriptorFor(1, mediaType, platform)
		d["digest"] = digest
		return d
	}
	sha512 := "sha512:" + strings.Repeat("ab", 64)
	tests := map[string]struct {
		descriptor map[string]any
		why        string
	}{
		"not_judged":           {named(sha512, ociImage, s390x), ""},
		"not_judged_index":     {named(sha512, typeOCIIndex, s390x), ""},
		"not_judged_garbage":   {named("no digest \x00", ociImage, s390x), ""},
		"not_judged_empty":     {named("", ociImage, s390x), ""},
		"attestation":          {named(sha512, ociImage, map[string]string{"os": "unknown", "architecture": "unknown"}), ""},
		"judged":               {named(sha512, ociImage, arm64), "image for linux/arm64 by the digest \"sha512:abab"},
		"judged_index":         {named(sha512, typeOCIIndex, arm64), "only sha256 digests can be read"},
		"without_platform":     {named(sha512, ociImage, nil), "image for any platform by the digest \"sha512:abab"},
		"nested_without":       {named(sha512, typeOCIIndex, nil), "only sha256 digests can be read"},
		"judged_upper_case":    {named("sha256:"+strings.Repeat("AB", 32), ociImage, arm64), "only sha256 digests can be read"},
		"not_judged_long_text": {named(strings.Repeat("x", 5000), ociImage, s390x), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := r.client.Resolve(t.Context(), r.loc, string(putIndex(t, r, descriptorFor(2, ociImage, amd64), tt.descriptor)))
			if err != nil || (m.Unassessable == "") != (tt.why == "") || !strings.Contains(m.Unassessable, tt.why) {
				t.Fatalf("got %+v, %v, want %q", m, err, tt.why)
			}
			if len(m.Children) == 0 || !m.Children[0].Judged || m.Children[0].Digest != gate.Digest(fmt.Sprintf("sha256:%064x", 2)) {
				t.Errorf("the other child: got %+v", m.Children)
			}
			for _, c := range m.Children {
				if len(c.Digest) > 200 {
					t.Errorf("a child with a name of %d bytes", len(c.Digest))
				}
			}
		})
	}
}

// TestIndexesByOtherWords: what a descriptor calls its content decides nothing
// that the content does not say.
func TestIndexesByOtherWords(t *testing.T) {
	r := newRig(t, fake.Options{})
	img, _ := r.push(t, "", 10)
	nested := putIndex(t, r, descriptorFor(7, ociImage, map[string]string{"os": "linux", "architecture": "arm64"}))
	call := func(d gate.Digest, mediaType, platform string) map[string]any {
		out := map[string]any{"mediaType": mediaType, "digest": d, "size": 1}
		if p := platformOf("linux/" + platform); platform != "" {
			out["platform"] = p
		}
		return out
	}
	tests := map[string]struct {
		descriptor map[string]any
		want       []string
		child      gate.Digest
	}{
		"an_image_called_an_index":             {call(img, typeOCIIndex, ""), []string{"+"}, img},
		"an_image_called_an_index_of_a_node":   {call(img, typeDockerIndex, "amd64"), []string{"+linux/amd64"}, img},
		"an_image_called_an_index_of_another":  {call(img, typeOCIIndex, "s390x"), []string{"linux/s390x"}, img},
		"an_index_called_an_image":             {call(nested, ociImage, ""), []string{"+"}, nested},
		"an_index_called_another_kind_of_one":  {call(nested, typeDockerIndex, ""), []string{"+linux/arm64"}, "sha256:" + gate.Digest(fmt.Sprintf("%064x", 7))},
		"an_index_of_a_platform_of_a_node":     {call(nested, typeOCIIndex, "amd64"), []string{"+linux/arm64"}, "sha256:" + gate.Digest(fmt.Sprintf("%064x", 7))},
		"an_index_of_another_platform":         {call(nested, typeOCIIndex, "s390x"), []string{"linux/s390x"}, nested},
		"a_missing_index_of_another_platform":  {descriptorFor(5, typeOCIIndex, map[string]string{"os": "linux", "architecture": "s390x"}), []string{"linux/s390x"}, "sha256:" + gate.Digest(fmt.Sprintf("%064x", 5))},
		"an_index_of_a_size_over_every_limit":  {map[string]any{"mediaType": typeOCIIndex, "digest": nested, "size": int64(1) << 50}, []string{"+linux/arm64"}, "sha256:" + gate.Digest(fmt.Sprintf("%064x", 7))},
		"an_image_of_a_size_below_every_limit": {map[string]any{"mediaType": ociImage, "digest": img, "size": -5}, []string{"+"}, img},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := r.client.Resolve(t.Context(), r.loc, string(putIndex(t, r, tt.descriptor)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, judged(m)); diff != "" || m.Children[0].Digest != tt.child {
				t.Errorf("got child %s, children (-want +got):\n%s", m.Children[0].Digest, diff)
			}
		})
	}
}

func TestIndexLimits(t *testing.T) {
	r := newRig(t, fake.Options{})
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

	// Not ErrNotFound: the index itself is there.
	_, err = r.client.Resolve(t.Context(), r.loc, string(putIndex(t, r, descriptorFor(1, typeOCIIndex, nil))))
	if !errors.Is(err, gate.ErrIntegrity) || errors.Is(err, gate.ErrNotFound) || !strings.Contains(err.Error(), "does not have sha256:0000") {
		t.Errorf("a nested index that is missing: got %v", err)
	}
}
