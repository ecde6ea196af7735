package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

const (
	ociImage = typeOCIManifest
	ociLayer = "application/vnd.oci.image.layer.v1.tar+gzip"
	inToto   = "application/vnd.in-toto+json"
)

func blobOf(mediaType, content string) fake.Blob {
	return fake.Blob{MediaType: mediaType, Content: []byte(content)}
}

func configOf(layers int, platform string) fake.Blob {
	ids := make([]string, layers)
	for i := range ids {
		ids[i] = fmt.Sprintf("sha256:%064x", i)
	}
	b, _ := json.Marshal(ids)
	return blobOf(typeOCIConfig, fmt.Sprintf(`{%s"rootfs":{"type":"layers","diff_ids":%s}}`, platform, b))
}

const linuxAMD64 = `"os":"linux","architecture":"amd64",`

func TestClassifiesManifests(t *testing.T) {
	subject := gate.Digest("sha256:" + strings.Repeat("a", 64))
	layer := blobOf(ociLayer, "layer")
	sbomLayer := blobOf(inToto, "{}")
	sbomLayer.Annotations = map[string]string{annotationPredicate: "https://spdx.dev/Document"}
	provenance := blobOf(inToto, "{ }")
	provenance.Annotations = map[string]string{annotationPredicate: "https://slsa.dev/provenance/v0.2"}
	bundle := blobOf(bundlePrefix+".v0.3+json", "{}")
	foreign := blobOf("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "x")
	tests := map[string]struct {
		artifact fake.Artifact
		tag      string
		kind     gate.ManifestKind
		subject  gate.Digest
		why      string // part of Unassessable
	}{
		"image":                               {artifact: fake.Artifact{Config: configOf(1, linuxAMD64), Layers: []fake.Blob{layer}}, kind: gate.KindImage},
		"image_that_claims_to_be_a_signature": {artifact: fake.Artifact{ArtifactType: signatureTypes[1], Config: configOf(1, linuxAMD64), Layers: []fake.Blob{layer}}, kind: gate.KindImage},
		"image_tagged_as_a_signature":         {artifact: fake.Artifact{Config: configOf(1, linuxAMD64), Layers: []fake.Blob{layer}}, tag: fake.CosignTag(subject, "sig"), kind: gate.KindImage},
		"image_with_a_signature_layer":        {artifact: fake.Artifact{Config: configOf(2, linuxAMD64), Layers: []fake.Blob{layer, blobOf(signatureTypes[0], "{}")}}, kind: gate.KindImage, why: "layer 1 has the unknown type"},
		"no_layers":                           {artifact: fake.Artifact{Config: configOf(0, linuxAMD64)}, kind: gate.KindImage, why: "no layers"},
		"encrypted":                           {artifact: fake.Artifact{Config: configOf(1, linuxAMD64), Layers: []fake.Blob{blobOf(ociLayer+"+encrypted", "x")}}, kind: gate.KindImage, why: "layer 0 is encrypted"},
		"foreign":                             {artifact: fake.Artifact{Config: configOf(1, linuxAMD64), Layers: []fake.Blob{foreign}}, kind: gate.KindImage, why: "layer 0 is foreign"},
		"windows":                             {artifact: fake.Artifact{Config: configOf(1, `"os":"windows","architecture":"amd64","os.version":"10.0",`), Layers: []fake.Blob{layer}}, kind: gate.KindImage, why: "no Linux platform: the image is for windows/amd64"},
		"windows_with_foreign_layers":         {artifact: fake.Artifact{Config: configOf(1, `"os":"windows",`), Layers: []fake.Blob{foreign}}, kind: gate.KindImage, why: "no Linux platform"},
		"fewer_diff_ids_than_layers":          {artifact: fake.Artifact{Config: configOf(1, linuxAMD64), Layers: []fake.Blob{layer, layer}}, kind: gate.KindImage, why: "lists 1 layers, its manifest 2"},
		"too_many_layers":                     {artifact: fake.Artifact{Config: configOf(MaxLayers+1, linuxAMD64), Layers: slices.Repeat([]fake.Blob{layer}, MaxLayers+1)}, kind: gate.KindImage, why: "1001 layers, the limit is 1000"},
		"large_configuration":                 {artifact: fake.Artifact{Config: blobOf(typeOCIConfig, strings.Repeat(" ", MaxConfigBytes)+"{}"), Layers: []fake.Blob{layer}}, kind: gate.KindImage, why: "configuration has 4194306 bytes"},
		"diff_id_is_none":                     {artifact: fake.Artifact{Config: blobOf(typeOCIConfig, `{"os":"linux","rootfs":{"diff_ids":["sha256:x"]}}`), Layers: []fake.Blob{layer}}, kind: gate.KindImage, why: "something that is not a digest"},
		"configuration_is_no_json":            {artifact: fake.Artifact{Config: blobOf(typeOCIConfig, "no"), Layers: []fake.Blob{layer}}, kind: gate.KindImage, why: "not valid JSON"},
		"cosign_attestation":                  {artifact: fake.Artifact{Config: configOf(1, ""), Layers: []fake.Blob{blobOf(attestationTypes[0], "{}")}}, tag: fake.CosignTag(subject, "att"), kind: gate.KindAttestation},
		"cosign_sbom":                         {artifact: fake.Artifact{Config: configOf(1, ""), Layers: []fake.Blob{blobOf("text/spdx+json", "{}")}}, tag: fake.CosignTag(subject, "sbom"), kind: gate.KindSBOM},
		"cosign_bundle_signature": {artifact: fake.Artifact{ArtifactType: bundle.MediaType, Layers: []fake.Blob{bundle}, Subject: subject,
			Annotations: map[string]string{annotationBundlePredicate: "https://sigstore.dev/cosign/sign/v1"}}, kind: gate.KindSignature, subject: subject},
		"cosign_bundle_attestation": {artifact: fake.Artifact{ArtifactType: bundle.MediaType, Layers: []fake.Blob{bundle}, Subject: subject,
			Annotations: map[string]string{annotationBundlePredicate: "https://slsa.dev/provenance/v1"}}, kind: gate.KindAttestation, subject: subject},
		"notation":                    {artifact: fake.Artifact{ArtifactType: "application/vnd.cncf.notary.signature", Layers: []fake.Blob{blobOf("application/jose+json", "{}")}, Subject: subject}, kind: gate.KindSignature, subject: subject},
		"buildkit_sbom":               {artifact: fake.Artifact{Config: configOf(1, `"os":"unknown","architecture":"unknown",`), Layers: []fake.Blob{sbomLayer}}, kind: gate.KindSBOM},
		"buildkit_attestations":       {artifact: fake.Artifact{Config: configOf(2, `"os":"unknown","architecture":"unknown",`), Layers: []fake.Blob{sbomLayer, provenance}}, kind: gate.KindAttestation},
		"cyclonedx":                   {artifact: fake.Artifact{ArtifactType: "application/vnd.cyclonedx+json", Layers: []fake.Blob{blobOf("application/vnd.cyclonedx+json", "{}")}, Subject: subject}, kind: gate.KindSBOM, subject: subject},
		"syft":                        {artifact: fake.Artifact{Layers: []fake.Blob{blobOf("application/vnd.syft+json", "{}")}}, kind: gate.KindSBOM},
		"harbor_sbom":                 {artifact: fake.Artifact{ArtifactType: "application/vnd.goharbor.harbor.sbom.v1", Layers: []fake.Blob{blobOf("application/octet-stream", "{}")}}, kind: gate.KindSBOM},
		"wasm":                        {artifact: fake.Artifact{Config: blobOf("application/vnd.wasm.config.v1+json", "{}"), Layers: []fake.Blob{blobOf("application/vnd.wasm.content.layer.v1+wasm", "x")}}, kind: gate.KindArtifact},
		"flux":                        {artifact: fake.Artifact{Config: blobOf("application/vnd.cncf.flux.config.v1+json", "{}"), Layers: []fake.Blob{blobOf("application/vnd.cncf.flux.content.v1.tar+gzip", "x")}}, kind: gate.KindArtifact},
		"artifact_with_a_file_system": {artifact: fake.Artifact{ArtifactType: "application/vnd.example", Layers: []fake.Blob{layer}}, kind: gate.KindImage, why: "lists 0 layers, its manifest 1"},
		"empty_artifact":              {artifact: fake.Artifact{ArtifactType: "application/vnd.example"}, kind: gate.KindArtifact},
	}
	r := newRig(t, fake.Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := r.PutArtifact(r.loc.Repository, tt.tag, tt.artifact)
			if err != nil {
				t.Fatal(err)
			}
			ref := tt.tag
			if ref == "" {
				ref = string(d)
			}
			m, err := r.client.Resolve(t.Context(), r.loc, ref)
			if err != nil {
				t.Fatalf("Resolve: %v", err)
			}
			if m.Digest != d || m.Kind != tt.kind || m.Subject != tt.subject {
				t.Errorf("got %+v, want digest %s, kind %q, subject %q", m, d, tt.kind, tt.subject)
			}
			if (m.Unassessable == "") != (tt.why == "") || !strings.Contains(m.Unassessable, tt.why) {
				t.Errorf("Unassessable: got %q, want %q", m.Unassessable, tt.why)
			}
			_, err = r.client.Image(t.Context(), r.loc, d)
			if ok := tt.kind == gate.KindImage && tt.why == ""; ok != (err == nil) || err != nil && !errors.Is(err, gate.ErrUnassessable) {
				t.Errorf("Image: got error %v, want image: %v", err, ok)
			}
		})
	}
}

func TestClassifiesPushedArtifacts(t *testing.T) {
	r := newRig(t, fake.Options{})
	subject, _ := r.push(t, "1", 10)
	if _, err := r.PushSignature(r.loc.Repository, subject); err != nil {
		t.Fatal(err)
	}
	m, err := r.client.Resolve(t.Context(), r.loc, fake.CosignTag(subject, "sig"))
	if err != nil || m.Kind != gate.KindSignature || m.Subject != "" { // the tag is no part of it
		t.Errorf("signature: got %+v, %v", m, err)
	}
	if _, err := r.PushChart(r.loc.Repository, "chart"); err != nil {
		t.Fatal(err)
	}
	if m, err := r.client.Resolve(t.Context(), r.loc, "chart"); err != nil || m.Kind != gate.KindChart {
		t.Errorf("chart: got %+v, %v", m, err)
	}
}

func TestRefusesForeignURLs(t *testing.T) { // S28
	r := newRig(t, fake.Options{})
	other := start(t, fake.Options{})
	config := configOf(1, linuxAMD64)
	cd, _ := r.PutBlob(config.Content)
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":"sha256:%064d","size":5,"urls":["%s/x","http://169.254.169.254/latest"]}]}`,
		ociImage, typeOCIConfig, cd, len(config.Content), ociLayer, 1, other.URL)
	d, err := r.PutManifest(r.loc.Repository, "", ociImage, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.client.Resolve(t.Context(), r.loc, string(d))
	if err != nil || !strings.Contains(m.Unassessable, "foreign") {
		t.Errorf("got %+v, %v, want unassessable for foreign layers", m, err)
	}
	if n := len(other.Requests()); n != 0 {
		t.Errorf("the foreign host got %d requests", n)
	}
}

func TestRefusesAmbiguousManifests(t *testing.T) { // S10, S11, S14
	ok := func(rest string) string {
		return fmt.Sprintf(`{"schemaVersion":2,%s"config":{"mediaType":%q,"digest":"sha256:%064d","size":2},"layers":[]}`, rest, typeOCIConfig, 1)
	}
	tests := map[string]struct {
		contentType, body string
		want              error
	}{
		"layers_and_manifests":         {ociImage, `{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`, gate.ErrUnassessable},
		"layers_and_manifests_untyped": {"application/json", `{"schemaVersion":2,"layers":[],"manifests":[]}`, gate.ErrUnassessable},
		"layers_and_manifests_index":   {typeOCIIndex, `{"schemaVersion":2,"layers":[],"manifests":[]}`, gate.ErrUnassessable},
		"blobs_and_manifests":          {"application/json", `{"schemaVersion":2,"blobs":[],"manifests":[]}`, gate.ErrUnassessable},
		"null_manifests":               {ociImage, ok(`"manifests":null,`), gate.ErrUnassessable},
		"duplicate_key":                {ociImage, ok(`"config":{},`), gate.ErrUnassessable},
		"other_capitals":               {ociImage, ok(`"Layers":[],`), gate.ErrUnassessable},
		"known_key_misspelt":           {ociImage, ok(`"Manifests":[],`), gate.ErrUnassessable},
		"long_s":                       {ociImage, ok(`"manife\u017fts":[],`), gate.ErrUnassessable},
		"duplicate_in_descriptor":      {ociImage, strings.Replace(ok(""), `"size":2`, `"size":2,"size":3`, 1), gate.ErrUnassessable},
		"trailing_document":            {ociImage, ok("") + "{}", gate.ErrUnassessable},
		"array":                        {ociImage, "[]", gate.ErrUnassessable},
		"empty":                        {ociImage, "", gate.ErrUnassessable},
		"not_utf8":                     {ociImage, ok("\"x\":\"\xff\","), gate.ErrUnassessable},
		"deep":                         {ociImage, ok(`"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + ","), gate.ErrUnassessable},
		"size_is_text":                 {ociImage, strings.Replace(ok(""), `"size":2`, `"size":"2"`, 1), gate.ErrUnassessable},
		"negative_size":                {ociImage, strings.Replace(ok(""), `"size":2`, `"size":-2`, 1), gate.ErrUnassessable},
		"digest_is_none":               {ociImage, strings.Replace(ok(""), `"sha256:`, `"sha512:`, 1), gate.ErrUnassessable},
		"neither":                      {ociImage, `{"schemaVersion":2}`, gate.ErrUnassessable},
		"index_type_image_content":     {"", ok(`"mediaType":"` + typeOCIIndex + `",`), gate.ErrUnassessable},
		"image_type_index_content":     {"", `{"schemaVersion":2,"mediaType":"` + ociImage + `","manifests":[]}`, gate.ErrUnassessable},
		"header_index_untyped_image":   {typeOCIIndex, ok(""), gate.ErrIntegrity},
		"header_image_untyped_index":   {ociImage, `{"schemaVersion":2,"manifests":[]}`, gate.ErrIntegrity},
		"header_artifact":              {typeOCIArtifact, ok(""), gate.ErrIntegrity},
		"header_schema1":               {typeSchema1, ok(""), gate.ErrIntegrity},
		"header_schema1_signed_index":  {typeSchema1Signed, `{"schemaVersion":2,"manifests":[]}`, gate.ErrIntegrity},
		"header_unknown":               {"text/html", ok(""), nil},
		"header_missing":               {"", ok(""), nil},
		"header_contradicts":           {typeDockerManifest, ok(`"mediaType":"` + ociImage + `",`), gate.ErrIntegrity},
		"header_index_body_image":      {typeOCIIndex, ok(`"mediaType":"` + ociImage + `",`), gate.ErrIntegrity},
		"schema1":                      {typeSchema1, `{"schemaVersion":1,"name":"x","tag":"y","fsLayers":[]}`, gate.ErrUnassessable},
		"schema1_by_content":           {ociImage, `{"schemaVersion":1,"fsLayers":[]}`, gate.ErrUnassessable},
		"schema1_number":               {ociImage, strings.Replace(ok(""), `"schemaVersion":2`, `"schemaVersion":1`, 1), gate.ErrUnassessable},
		"over_the_limit":               {ociImage, ok(`"x":"` + strings.Repeat("x", MaxManifestBytes) + `",`), gate.ErrUnassessable},
		"annotations_differ_in_case":   {ociImage, ok(`"annotations":{"a":"1","A":"2"},`), nil},
		"annotations_twice":            {ociImage, ok(`"annotations":{"a":"1","a":"2"},`), gate.ErrUnassessable},
	}
	r := newRig(t, fake.Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			defer r.Reset()
			r.Fail(fake.Fault{Path: "/v2/**/manifests/*", Body: []byte(tt.body), Header: map[string][]string{"Content-Type": {tt.contentType}}})
			_, err := r.client.Resolve(t.Context(), r.loc, string(fake.DigestOf([]byte(tt.body))))
			if tt.want == nil {
				// The configuration does not exist: good enough for "read".
				if !errors.Is(err, gate.ErrNotFound) && err != nil {
					t.Errorf("got %v, want no refusal", err)
				}
				return
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if strings.Contains(fmt.Sprint(err), "\xff") {
				t.Errorf("raw bytes in %q", err)
			}
		})
	}
}

func TestRefusesWrongContent(t *testing.T) { // W19, N15, S12
	r := newRig(t, fake.Options{})
	good, _ := r.push(t, "1", 10)
	img, _ := fake.RandomImage(2, v1.Platform{}, 20)
	other, _ := img.RawManifest()
	asImage := map[string][]string{"Content-Type": {ociImage}}

	t.Run("unknown_digest", func(t *testing.T) {
		_, err := r.client.Resolve(t.Context(), r.loc, string(fake.DigestOf([]byte("nothing"))))
		if !errors.Is(err, gate.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
	t.Run("other_content_for_a_digest", func(t *testing.T) {
		defer r.Reset()
		r.Fail(fake.Fault{Path: "/v2/**/manifests/*", Body: other, Header: asImage})
		for _, call := range []func() error{
			func() error { _, err := r.client.Resolve(t.Context(), r.loc, string(good)); return err },
			func() error { _, err := r.client.Image(t.Context(), r.loc, good); return err },
		} {
			if err := call(); !errors.Is(err, gate.ErrIntegrity) {
				t.Errorf("got %v, want ErrIntegrity", err)
			}
		}
	})
	t.Run("header_names_the_wanted_digest", func(t *testing.T) {
		defer r.Reset()
		r.Fail(fake.Fault{Path: "/v2/**/manifests/*", Body: other, Header: map[string][]string{"Content-Type": {ociImage}, "Docker-Content-Digest": {string(good)}}})
		if _, err := r.client.Resolve(t.Context(), r.loc, "1"); !errors.Is(err, gate.ErrIntegrity) {
			t.Errorf("got %v, want ErrIntegrity", err)
		}
	})
	t.Run("signed_schema1_with_a_forged_header", func(t *testing.T) { // S11: ggcr believes the header here
		defer r.Reset()
		r.Fail(fake.Fault{Path: "/v2/**/manifests/*", Body: []byte(`{"schemaVersion":1,"fsLayers":[]}`),
			Header: map[string][]string{"Content-Type": {typeSchema1Signed}, "Docker-Content-Digest": {string(good)}}})
		if m, err := r.client.Resolve(t.Context(), r.loc, string(good)); !errors.Is(err, gate.ErrIntegrity) {
			t.Errorf("got %+v, %v, want ErrIntegrity", m, err)
		}
		if m, err := r.client.Resolve(t.Context(), r.loc, "1"); !errors.Is(err, gate.ErrUnassessable) {
			t.Errorf("got %+v, %v, want ErrUnassessable", m, err)
		}
	})
	t.Run("tag_alternates", func(t *testing.T) {
		defer r.Reset()
		r.Fail(fake.Fault{Path: "/v2/**/manifests/*", Times: 1, Body: other, Header: asImage})
		if _, err := r.client.Resolve(t.Context(), r.loc, "1"); !errors.Is(err, gate.ErrNotFound) {
			t.Errorf("got %v: the configuration of the first answer does not exist", err)
		}
		m, err := r.client.Resolve(t.Context(), r.loc, "1")
		if err != nil || m.Digest != good {
			t.Errorf("got %+v, %v, want %s", m, err, good)
		}
	})
	t.Run("configuration_is_another", func(t *testing.T) {
		i, err := r.client.Image(t.Context(), r.loc, good)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.PutBlobAs(i.ConfigDigest, []byte(strings.Repeat(" ", len(i.Config)))); err != nil {
			t.Fatal(err)
		}
		if _, err := r.client.Resolve(t.Context(), r.loc, string(good)); !errors.Is(err, gate.ErrIntegrity) {
			t.Errorf("got %v, want ErrIntegrity", err)
		}
	})
}

func TestRefusesNames(t *testing.T) { // R07 and its like must not reach an address
	r := newRig(t, fake.Options{})
	for _, repo := range []string{"", "a/../b", "a//b", "/a", "a/", "A/b", "a/./b", "a%2fb", "a?b", "a/-b", strings.Repeat("a", 256), "a\nb", ".."} {
		loc := gate.Location{Registry: "test", Repository: repo}
		if _, err := r.client.Resolve(t.Context(), loc, "1"); !errors.Is(err, gate.ErrRefInvalid) {
			t.Errorf("repository %q: got %v", repo, err)
		}
	}
	for _, ref := range []string{"", ".x", "-x", "a/b", "a b", "..", strings.Repeat("x", 129), "sha256:abc", "sha512:" + strings.Repeat("a", 128)} {
		if _, err := r.client.Resolve(t.Context(), r.loc, ref); !errors.Is(err, gate.ErrRefInvalid) {
			t.Errorf("reference %q: got %v", ref, err)
		}
	}
	if _, err := r.client.Resolve(t.Context(), gate.Location{Registry: "nobody", Repository: "a"}, "1"); !errors.Is(err, gate.ErrRegistryNotTrusted) {
		t.Errorf("unknown registry: got %v", err)
	}
	if n := len(r.Requests()); n != 0 {
		t.Errorf("%d requests left the client", n)
	}
}

func TestHeadWithoutDigest(t *testing.T) {
	r := newRig(t, fake.Options{})
	want, _ := r.push(t, "1", 10)
	for name, f := range map[string]fake.Fault{
		"no_header":   {Method: "HEAD", Status: 200},
		"bad_header":  {Method: "HEAD", Status: 200, Header: map[string][]string{"Docker-Content-Digest": {"sha256:zz"}}},
		"not_allowed": {Method: "HEAD", Status: 405},
	} {
		t.Run(name, func(t *testing.T) {
			defer r.Reset()
			r.Fail(f)
			got, err := r.client.Head(t.Context(), r.loc, "1")
			if err != nil || got != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
	if _, err := r.client.Head(t.Context(), r.loc, "nothing"); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("unknown tag: got %v", err)
	}
}

func TestRawManifest(t *testing.T) {
	r := newRig(t, fake.Options{})
	want, img := r.push(t, "1", 10)
	body, got, err := r.client.RawManifest(t.Context(), r.loc, "1")
	raw, _ := img.RawManifest()
	if err != nil || got != want || !cmp.Equal(body, raw) {
		t.Errorf("got %d bytes, %q, %v", len(body), got, err)
	}
}
