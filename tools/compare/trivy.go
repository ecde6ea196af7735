//go:build goexperiment.jsonv2

package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/aquasecurity/trivy/pkg/cache"
	"github.com/aquasecurity/trivy/pkg/fanal/analyzer"
	_ "github.com/aquasecurity/trivy/pkg/fanal/analyzer/all"
	"github.com/aquasecurity/trivy/pkg/fanal/applier"
	"github.com/aquasecurity/trivy/pkg/fanal/artifact"
	artimage "github.com/aquasecurity/trivy/pkg/fanal/artifact/image"
	"github.com/aquasecurity/trivy/pkg/fanal/image"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	_ "modernc.org/sqlite"
)

// disabled is what digestgate does not look at either: configuration files, SBOM files
// inside images, and what "trivy image" leaves out by itself.
var disabled = slices.Concat(analyzer.TypeLockfiles, analyzer.TypeConfigFiles,
	[]analyzer.Type{analyzer.TypeRpmArchive, analyzer.TypeApkCommand, analyzer.TypeExecutable, analyzer.TypeSBOM})

// playTrivy analyses one image with an empty cache and writes down how much was found.
func playTrivy(ctx context.Context, ref string) error {
	dir := os.Getenv("CACHE")
	store, err := cache.NewFSCache(dir)
	if err != nil {
		return err
	}
	defer store.Close()
	config := filepath.Join(dir, "secrets.yaml")
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		return err
	}
	img, done, err := image.NewContainerImage(ctx, ref, ftypes.ImageOptions{ImageSources: ftypes.ImageSources{ftypes.RemoteImageSource},
		RegistryOptions: ftypes.RegistryOptions{Insecure: true}})
	if err != nil {
		return err
	}
	defer done()
	art, err := artimage.NewArtifact(img, store, artifact.Option{Offline: true, DisabledAnalyzers: disabled,
		SecretScannerOption: analyzer.SecretScannerOption{ConfigPath: config}})
	if err != nil {
		return err
	}
	found, err := art.Inspect(ctx)
	if err != nil {
		return err
	}
	detail, err := applier.NewApplier(store).ApplyLayers(ctx, found.ID, found.BlobIDs)
	if err != nil {
		return err
	}
	c := cost{Packages: len(detail.Packages), Secrets: len(detail.Secrets)}
	for _, a := range detail.Applications {
		c.Packages += len(a.Packages)
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}
