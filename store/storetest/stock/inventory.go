package stock

import (
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// appLayers is how many layers an application adds to its base.
const appLayers = 3

// Manifest is what reading the manifest of image i finds.
func (s *Stock) Manifest(i int) gate.Manifest {
	return gate.Manifest{
		Digest: s.Digest(i), Kind: gate.KindImage, MediaType: "application/vnd.oci.image.manifest.v1+json",
		Platform: platform, Size: size(s.layers(i)), Hashed: true,
	}
}

var platform = gate.Platform{OS: "linux", Architecture: "amd64"}

// Inventory is what an analysis of image i finds. The caller may keep it, and change
// nothing that it points to.
func (s *Stock) Inventory(i int) *gate.Inventory {
	b, app, build := s.parts(i)
	layers := s.layers(i)
	rel := b.release
	inv := &gate.Inventory{
		Format: gate.InventoryFormat, Digest: s.Digest(i), AnalyzerSet: s.o.AnalyzerSet, AnalyzedAt: s.o.Now,
		Isolation: gate.Isolation{Level: "strict"}, Platform: platform, Created: s.created(build), Size: size(layers),
		Config: config(app, build), History: history(s.created(build), layers), Layers: layers,
		OS: gate.OS{Family: rel.family, Name: rel.installed}, Distribution: rel.distribution(), DistributionFiles: true, PackageDatabase: true,
		Packages: b.packages(build), Applications: []gate.Application{app.packages(build)}, Secrets: []gate.Secret{},
		Risks: risks(), Errors: []gate.AnalyzerError{}, Skipped: []gate.Skip{},
	}
	if rel.family == "alpine" {
		inv.PackageRepository = "alpine " + rel.name
	}
	for k := range inv.Packages {
		inv.Packages[k].Layer = layers[k*baseLayers/basePackages].DiffID
	}
	for _, a := range inv.Applications {
		for k := range a.Packages {
			a.Packages[k].Layer = layers[baseLayers].DiffID
		}
	}
	return inv
}

// layers are those of the base, which all builds of a base have in common, and those of
// the build.
func (s *Stock) layers(i int) []gate.Layer {
	b, app, build := s.parts(i)
	var out []gate.Layer
	add := func(size int64, numbers ...int) {
		out = append(out, gate.Layer{Digest: s.hash("layer", numbers...), DiffID: s.hash("diff", numbers...), Size: size})
	}
	for k := range baseLayers {
		add(int64(5+20*k)<<20, b.index, build/baseBuilds, k)
	}
	for k := range appLayers {
		add(int64(1+9*k)<<20, app.index, build, k, b.index)
	}
	return out
}

func size(layers []gate.Layer) (n int64) {
	for _, l := range layers {
		n += l.Size
	}
	return n
}

// created is an hour after the build before.
func (s *Stock) created(build int) time.Time {
	return s.o.Now.Add(-time.Duration(s.builds()-build) * time.Hour)
}

func config(app *application, build int) gate.ImageConfig {
	return gate.ImageConfig{
		User: "10001", Entrypoint: []string{"/usr/local/bin/" + app.name}, Cmd: []string{"serve"},
		Env:          []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", fmt.Sprintf("VERSION=1.%d.0", build)},
		ExposedPorts: []string{"8080/tcp"}, Volumes: []string{}, WorkingDir: "/app",
		Labels: map[string]string{"org.opencontainers.image.title": app.name, "org.opencontainers.image.version": fmt.Sprintf("1.%d.0", build)},
	}
}

func history(created time.Time, layers []gate.Layer) []gate.History {
	var out []gate.History
	for k := range layers {
		out = append(out,
			gate.History{Created: created, CreatedBy: fmt.Sprintf("/bin/sh -c #(nop) ENV STEP=%d", k), EmptyLayer: true},
			gate.History{Created: created, CreatedBy: fmt.Sprintf("COPY --chown=10001 build/%d /app # buildkit", k), Comment: "buildkit.dockerfile.v0"})
	}
	return out
}

// distribution is what the release files of a base say.
func (rel *release) distribution() *gate.Distribution {
	text := fmt.Sprintf("ID=%s\nVERSION_ID=\"%s\"\nPRETTY_NAME=\"%s %s\"\n", rel.family, rel.name, rel.family, rel.name)
	d := &gate.Distribution{Files: []gate.ReleaseFile{{Path: "etc/os-release", Text: text}}}
	switch rel.family {
	case "alpine":
		d.Files[0].Text = fmt.Sprintf("ID=alpine\nVERSION_ID=%s\n", rel.installed)
		d.Files = append(d.Files, gate.ReleaseFile{Path: "etc/alpine-release", Text: rel.installed + "\n"})
		d.Databases = []gate.PackageDatabase{{Manager: "apk", Path: "lib/apk/db/installed"}}
	case "debian":
		d.Files = append(d.Files, gate.ReleaseFile{Path: "etc/debian_version", Text: rel.installed + "\n"})
		fallthrough
	default:
		d.Databases = []gate.PackageDatabase{{Manager: "dpkg", Path: "var/lib/dpkg/status"}}
	}
	return d
}

func risks() map[gate.Risk]gate.RiskStatus {
	out := map[gate.Risk]gate.RiskStatus{}
	for _, r := range gate.Risks() {
		out[r] = gate.RiskStatus{Coverage: gate.NotLookedAt, Reason: gate.ReasonNotSupported}
		if slices.Contains(gate.SupportedRisks(), r) {
			out[r] = gate.RiskStatus{Coverage: gate.Complete}
		}
	}
	return out
}
