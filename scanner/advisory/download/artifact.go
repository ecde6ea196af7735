package download

// Artifact says what is downloaded, and how large it may be.
type Artifact struct {
	// Name is the artifact's name in logs, metrics and messages.
	Name string
	// Tag is used for a repository that is written without one.
	Tag string
	// LayerType is the media type of the one layer, a gzipped tar. Others are refused:
	// a registry that serves another artifact under the name would pass otherwise.
	LayerType string
	// Files are what the layer holds: each of them, once, and nothing else.
	Files []File
	// MaxLayer bounds the layer as it is transferred, in bytes.
	MaxLayer int64
	// Expansion is how many times larger the files are than the layer, at most, as far
	// as is known; only for the estimate of the space that is needed.
	Expansion int64
}

// File is one file of an artifact; Max bounds it, in bytes.
type File struct {
	Name string
	Max  int64
}

// maxMetadata bounds metadata.json, which is about 150 bytes.
const maxMetadata = 64 << 10

// Database is Trivy's database: 90 MiB compressed in 2026, about ten times as much
// unpacked. Ten times that leaves room for years.
func Database() Artifact {
	return Artifact{
		Name: "trivy-db", Tag: "2", LayerType: "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip",
		Files:    []File{{"trivy.db", 10 << 30}, {"metadata.json", maxMetadata}},
		MaxLayer: 1 << 30, Expansion: 12,
	}
}

// JavaIndex is Trivy's index of Java archives: 735 MiB compressed in 2025, and about twice
// as much unpacked.
func JavaIndex() Artifact {
	return Artifact{
		Name: "trivy-java-db", Tag: "1", LayerType: "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip",
		Files:    []File{{"trivy-java.db", 16 << 30}, {"metadata.json", maxMetadata}},
		MaxLayer: 6 << 30, Expansion: 3,
	}
}
