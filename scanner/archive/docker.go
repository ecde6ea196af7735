package archive

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"

	"github.com/digestgate/digestgate/gate"
)

// dockerManifest lists the images of what "docker save" writes
// (moby/moby, image/tarexport/save.go).
const dockerManifest = "manifest.json"

// savedImage is one entry of it.
type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// maxLayers is that of scanner/registry: an image with more is not assessed there.
const maxLayers = 1000

// readDocker makes a manifest for each image of a "docker save" archive, which has
// none. Its digest is therefore not the one that a registry gives the image.
func (a *Archive) readDocker(ctx context.Context) error {
	raw, err := small(a.files.open(dockerManifest))
	if err != nil {
		return invalid("%s cannot be read: %v", dockerManifest, err)
	}
	var images []savedImage
	if json.Unmarshal(raw, &images) != nil {
		return invalid("%s is not the JSON list that docker save writes", dockerManifest)
	}
	if len(images) > maxImages {
		return invalid("%s names %d images, the limit is %d", dockerManifest, len(images), maxImages)
	}
	known := map[string]descriptor{} // layers by file, since images share them
	for i, image := range images {
		d, err := a.savedManifest(ctx, image, known)
		if err != nil {
			return fmt.Errorf("image %d of %s: %w", i+1, dockerManifest, err)
		}
		a.named = append(a.named, Named{Digest: d, Names: image.RepoTags})
	}
	return nil
}

func (a *Archive) savedManifest(ctx context.Context, image savedImage, known map[string]descriptor) (gate.Digest, error) {
	if len(image.Layers) > maxLayers+1 {
		return "", invalid("it has %d layers, the limit is %d", len(image.Layers), maxLayers)
	}
	config, err := a.describe(ctx, image.Config, known)
	if err != nil {
		return "", err
	}
	config.MediaType = typeDockerConfig
	layers := make([]descriptor, len(image.Layers))
	for i, name := range image.Layers {
		if layers[i], err = a.describe(ctx, name, known); err != nil {
			return "", err
		}
	}
	body, err := json.Marshal(struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}{2, typeDockerManifest, config, layers})
	if err != nil {
		return "", err
	}
	d := digestOf(body)
	a.blobs[d] = blob{bytes: body}
	return d, nil
}

// describe hashes a file and makes it a blob. What a layer is packed with says its
// content: docker save writes plain layers, other tools packed ones.
func (a *Archive) describe(ctx context.Context, name string, known map[string]descriptor) (descriptor, error) {
	if d, ok := known[name]; ok {
		return d, nil
	}
	r, size, err := a.files.open(name)
	if err != nil {
		return descriptor{}, invalid("it lacks the file %s; save the image again", gate.Quoted(name, 200))
	}
	defer r.Close()
	sum := sha256.New()
	head := &beginning{}
	if _, err := io.Copy(io.MultiWriter(sum, head), stoppable{ctx, r}); err != nil {
		return descriptor{}, fmt.Errorf("reading %s: %w", gate.Quoted(name, 200), cause(err))
	}
	d := descriptor{MediaType: typeDockerLayer, Digest: gate.Digest(fmt.Sprintf("sha256:%x", sum.Sum(nil))), Size: size}
	if p := compression(head.bytes); p != unpacked {
		d.MediaType += "." + string(p)
	}
	a.blobs[d.Digest] = blob{file: name}
	known[name] = d
	return d, nil
}

// beginning keeps the first bytes of what is written.
type beginning struct{ bytes []byte }

func (b *beginning) Write(p []byte) (int, error) {
	if more := 8 - len(b.bytes); more > 0 {
		b.bytes = append(b.bytes, p[:min(more, len(p))]...)
	}
	return len(p), nil
}

func digestOf(b []byte) gate.Digest {
	return gate.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(b)))
}
