package main

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"
	"github.com/digestgate/digestgate/cmd/digestgate/show"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociConfig      = "application/vnd.oci.image.config.v1+json"
)

// oddImage is a Debian image whose manifest and configuration are written by hand.
type oddImage struct {
	packages     [][3]string
	manifestType string
	configType   string
	words        map[string]any // of the manifest
	config       map[string]any // replaces words of the configuration; nil removes
}

// put stores a manifest as it is.
func (s *server) put(repo, tag, mediaType string, manifest map[string]any) (gate.Digest, int) {
	s.t.Helper()
	body, err := json.Marshal(manifest)
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := s.registry.PutManifest(repo, tag, mediaType, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return d, len(body)
}

func (s *server) pushOdd(repo, tag string, o oddImage) (gate.Digest, int) {
	s.t.Helper()
	img, err := fake.NewImage(fake.ImageOptions{Docker: true, Config: v1.Config{User: "1000"}}, demo.Root(o.packages, "amd64"))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.registry.Push(repo, "", img); err != nil {
		s.t.Fatal(err)
	}
	rawConfig, err := img.RawConfigFile()
	if err != nil {
		s.t.Fatal(err)
	}
	rawManifest, err := img.RawManifest()
	if err != nil {
		s.t.Fatal(err)
	}
	var config, manifest map[string]any
	if err := json.Unmarshal(rawConfig, &config); err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(rawManifest, &manifest); err != nil {
		s.t.Fatal(err)
	}
	maps.Copy(config, o.config)
	maps.DeleteFunc(config, func(_ string, v any) bool { return v == nil })
	if rawConfig, err = json.Marshal(config); err != nil {
		s.t.Fatal(err)
	}
	d, err := s.registry.PutBlob(rawConfig)
	if err != nil {
		s.t.Fatal(err)
	}
	manifest["mediaType"] = o.manifestType
	manifest["config"] = map[string]any{"mediaType": o.configType, "digest": d, "size": len(rawConfig)}
	maps.Copy(manifest, o.words)
	return s.put(repo, tag, o.manifestType, manifest)
}

// TestWhatANodeWouldRunIsJudged: by its contents, through both programs.
func TestWhatANodeWouldRunIsJudged(t *testing.T) {
	t.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
	s := newServer(t, "")
	const repo = "team/app"
	const allowed, denied, undecided = show.ExitAllow, show.ExitDeny, show.ExitNoVerdict
	good := s.pushDebian(repo, "", demo.Updated, nil)

	for name, tt := range map[string]struct {
		o    oddImage
		bad  int
		fine int
	}{
		"config_octet_stream": {oddImage{manifestType: dockerManifest, configType: "application/octet-stream"}, denied, allowed},
		"config_html":         {oddImage{manifestType: dockerManifest, configType: "text/html"}, denied, allowed},
		"config_untyped":      {oddImage{manifestType: ociManifest, configType: ""}, denied, allowed},
		"config_of_a_chart":   {oddImage{manifestType: dockerManifest, configType: "application/vnd.cncf.helm.config.v1+json"}, denied, allowed},
		"artifact_type":       {oddImage{manifestType: ociManifest, configType: ociConfig, words: map[string]any{"artifactType": "application/spdx+json"}}, denied, allowed},
		"no_os":               {oddImage{manifestType: ociManifest, configType: ociConfig, config: map[string]any{"os": nil, "architecture": nil}}, denied, allowed},
		"empty_os":            {oddImage{manifestType: ociManifest, configType: ociConfig, config: map[string]any{"os": ""}}, denied, allowed},
		"os_in_capitals":      {oddImage{manifestType: ociManifest, configType: ociConfig, config: map[string]any{"os": "Linux"}}, denied, allowed},
		"other_architecture":  {oddImage{manifestType: ociManifest, configType: ociConfig, config: map[string]any{"architecture": "s390x"}}, denied, allowed},
		"other_os":            {oddImage{manifestType: ociManifest, configType: ociConfig, config: map[string]any{"os": "windows"}}, undecided, undecided},
		"no_layers_in_config": {oddImage{manifestType: ociManifest, configType: ociConfig, config: map[string]any{"rootfs": nil}}, undecided, undecided},
		"config_is_a_list":    {oddImage{manifestType: ociManifest, configType: ociConfig, config: map[string]any{"os": []string{"linux"}}}, undecided, undecided},
	} {
		t.Run(name, func(t *testing.T) {
			for packages, want := range map[*[][3]string]int{&demo.Released: tt.bad, &demo.Updated: tt.fine} {
				tt.o.packages = *packages
				d, size := s.pushOdd(repo, "", tt.o)
				child := map[string]any{"mediaType": tt.o.manifestType, "digest": d, "size": size}
				arm64 := map[string]any{"mediaType": ociManifest, "digest": good, "size": 1, "platform": map[string]any{"os": "linux", "architecture": "arm64"}}
				index, _ := s.put(repo, "", "application/json", map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []any{child, arm64}})
				for what, ref := range map[string]gate.Digest{"image": d, "index": index} {
					code, out, errs := command(t, "check", s.registry.Host+"/"+repo+"@"+string(ref), "-c", s.config)
					if code != want || want == denied && !strings.Contains(out, "fixable-critical") {
						t.Errorf("%s: exit %d, want %d\n%s%s", what, code, want, out, errs)
					}
				}
			}
		})
	}
}
