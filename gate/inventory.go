package gate

import "time"

// InventoryFormat is the version of [Inventory] as it is stored. A reader
// refuses a higher one (ErrConflict) and the image is analysed again.
const InventoryFormat = 1

// Risk is one category of what a scan looks for; the names are those of
// scan.risks in the configuration.
type Risk string

// The risks. An issue that adds an analyser adds no new name: all are
// configured from the first day, and one that nothing looked at says so.
const (
	RiskVulnerabilities   Risk = "vulnerabilities"
	RiskMalware           Risk = "malware"
	RiskSecrets           Risk = "secrets"
	RiskMisconfigurations Risk = "misconfigurations"
	RiskLicenses          Risk = "licenses"
	RiskSoftware          Risk = "software"
	RiskFiles             Risk = "files"
	RiskBaseline          Risk = "baseline"
	RiskApprovedBase      Risk = "approvedBase"
	RiskProvenance        Risk = "provenance"
)

// Risks lists every risk in the order in which they are shown.
func Risks() []Risk {
	return []Risk{
		RiskVulnerabilities, RiskMalware, RiskSecrets, RiskMisconfigurations, RiskLicenses,
		RiskSoftware, RiskFiles, RiskBaseline, RiskApprovedBase, RiskProvenance,
	}
}

// SupportedRisks lists the risks that this version looks at, in the same order.
// scan.risks and policy.allowIncomplete take no others: a word that nothing acts
// on reads like a protection that is not there.
func SupportedRisks() []Risk { return []Risk{RiskVulnerabilities, RiskSecrets} }

// ReasonNotSupported is the reason of a risk that is not supported.
const ReasonNotSupported = "this version does not look at it"

// Coverage says how far a risk was looked at.
type Coverage string

// The values of Coverage. Partial and failed refuse an image (SCAN_FAILED)
// unless policy.allowIncomplete covers each gap; notLookedAt does not, because
// the configuration or this version does not look.
const (
	Complete    Coverage = "complete"
	Partial     Coverage = "partial"
	Failed      Coverage = "failed"
	NotLookedAt Coverage = "notLookedAt"
)

// RiskStatus is the coverage of one risk with its reason as a sentence.
type RiskStatus struct {
	Coverage Coverage `json:"coverage"`
	// Reason is "" for a risk that was looked at with nothing left out; for a
	// complete one it says what stated limits left out.
	Reason string `json:"reason"`
}

// Inventory is what one platform's image contains: the result of analyze, a
// function of the digest and the analyzer set. It holds facts, never findings
// of vulnerabilities (those depend on the advisory generation too). Text in it
// is hostile.
type Inventory struct {
	Format      int       `json:"format"`
	Digest      Digest    `json:"digest"`
	AnalyzerSet string    `json:"analyzerSet"`
	AnalyzedAt  time.Time `json:"analyzedAt"`
	Isolation   Isolation `json:"isolation"`

	Platform Platform    `json:"platform"`
	Created  time.Time   `json:"created"`
	Size     int64       `json:"size"` // compressed layers, bytes
	Config   ImageConfig `json:"config"`
	History  []History   `json:"history"`
	Layers   []Layer     `json:"layers"`

	OS OS `json:"os"`
	// Distribution are the facts from which OS was decided; nil in an inventory
	// of an analyser that did not record them yet. Such an image is judged by
	// what there is until it is analysed again.
	Distribution *Distribution `json:"distribution,omitempty"`
	// DistributionFiles says that the root file system is a distribution's
	// (os-release, package directories): without readable packages it is
	// unassessable rather than clean.
	DistributionFiles bool `json:"distributionFiles"`
	PackageDatabase   bool `json:"packageDatabase"` // an OS package database was read
	// PackageRepository is the family and release of the configured package
	// repository with one blank between them ("alpine 3.20"), where it says more
	// than os-release does.
	PackageRepository string        `json:"packageRepository,omitempty"`
	Packages          []Package     `json:"packages"`
	Applications      []Application `json:"applications"`
	Secrets           []Secret      `json:"secrets"`
	// Archives are the Java archives, sorted by path; none in an inventory of an analyser
	// that did not record them yet.
	Archives []JavaArchive `json:"archives,omitempty"`
	// Beside is what was found beside the image in its registry; nil where nothing was
	// looked for.
	Beside *BesideVEX `json:"beside,omitempty"`

	Risks  map[Risk]RiskStatus `json:"risks"`
	Errors []AnalyzerError     `json:"errors"` // what analysers could not read
	// MoreErrors counts the errors that did not fit into Errors.
	MoreErrors []ErrorCount `json:"moreErrors,omitempty"`
	Skipped    []Skip       `json:"skipped"` // files left out by a stated limit
}

// Isolation records under which protection the hostile bytes were parsed.
type Isolation struct {
	// Level is "strict" when the probe could reach nothing, else "bestEffort".
	Level   string   `json:"level"`
	Missing []string `json:"missing,omitempty"` // the protections that were not permitted
}

// ImageConfig is the part of the image's configuration that policies may
// refer to. Slices and maps are never nil.
type ImageConfig struct {
	User         string            `json:"user"`
	Entrypoint   []string          `json:"entrypoint"`
	Cmd          []string          `json:"cmd"`
	Env          []string          `json:"env"`
	ExposedPorts []string          `json:"exposedPorts"`
	Volumes      []string          `json:"volumes"`
	WorkingDir   string            `json:"workingDir"`
	Labels       map[string]string `json:"labels"`
	StopSignal   string            `json:"stopSignal"`
}

// History is one step of the build as the image claims it.
type History struct {
	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"createdBy"`
	Comment    string    `json:"comment"`
	EmptyLayer bool      `json:"emptyLayer"`
}

// Layer is one layer as pulled.
type Layer struct {
	Digest Digest `json:"digest"` // compressed
	DiffID Digest `json:"diffID"` // uncompressed, as hashed by us
	Size   int64  `json:"size"`   // compressed, bytes
}

// OS is the distribution, in the terms of the advisory sources
// ("debian" "12.5"). Family is "" when the image has none.
type OS struct {
	Family   string `json:"family"`
	Name     string `json:"name"`
	Extended bool   `json:"extended,omitempty"`
	EOL      bool   `json:"eol,omitempty"`
	// Supplier names a third party that rebuilt the packages and publishes
	// advisories of its own ("seal", "rapidfort"); "" for the distribution.
	Supplier string `json:"supplier,omitempty"`
}

// Distribution is what the root file system says about which distribution it is
// of. All text in it is the image's claim.
type Distribution struct {
	// Files are the release files. A path occurs more than once when container
	// runtimes show different contents of it.
	Files []ReleaseFile `json:"files"`
	// Databases are the package databases that are not empty, also those of
	// managers whose database no analyser reads.
	Databases []PackageDatabase `json:"databases"`
}

// ReleaseFile is os-release or another file that names the distribution.
type ReleaseFile struct {
	Path string `json:"path"`
	Text string `json:"text"`          // its first 4 KiB
	Cut  bool   `json:"cut,omitempty"` // the file is longer
	// Link is the target of a link that could not be followed.
	Link string `json:"link,omitempty"`
}

// PackageDatabase is the database of a package manager: a file, or a directory
// for managers that write a file for each package.
type PackageDatabase struct {
	Manager string `json:"manager"`
	Path    string `json:"path"`
}

// Package is one installed package with all that matching needs.
type Package struct {
	ID              string         `json:"id,omitempty"`
	Name            string         `json:"name"`
	Version         string         `json:"version"`
	Release         string         `json:"release,omitempty"`
	Epoch           int            `json:"epoch,omitempty"`
	Arch            string         `json:"arch,omitempty"`
	Dev             bool           `json:"dev,omitempty"`
	SrcName         string         `json:"srcName,omitempty"`
	SrcVersion      string         `json:"srcVersion,omitempty"`
	SrcRelease      string         `json:"srcRelease,omitempty"`
	SrcEpoch        int            `json:"srcEpoch,omitempty"`
	ModularityLabel string         `json:"modularityLabel,omitempty"`
	BuildInfo       *BuildInfo     `json:"buildInfo,omitempty"`
	Repository      *PackageOrigin `json:"repository,omitempty"`
	PURL            string         `json:"purl,omitempty"`
	UID             string         `json:"uid,omitempty"`
	Licenses        []string       `json:"licenses,omitempty"`
	FilePath        string         `json:"filePath,omitempty"`
	Layer           Digest         `json:"layer,omitempty"` // DiffID of the layer that brought it
	Relationship    string         `json:"relationship,omitempty"`
	Indirect        bool           `json:"indirect,omitempty"`
	AnalyzedBy      string         `json:"analyzedBy,omitempty"`
}

// BuildInfo is Red Hat's content-set information.
type BuildInfo struct {
	ContentSets []string `json:"contentSets,omitempty"`
	Nvr         string   `json:"nvr,omitempty"`
	Arch        string   `json:"arch,omitempty"`
}

// PackageOrigin is where a package came from; packages of class "third-party"
// are outside a distribution's advisories. Name is what the package says of who
// made it: the vendor of an RPM, the host of the maintainer's address elsewhere.
type PackageOrigin struct {
	Class string `json:"class,omitempty"`
	Name  string `json:"name,omitempty"`
}

// Application is a set of language packages found together: a lock file, a
// binary, an installation.
type Application struct {
	Type     string    `json:"type"` // "gobinary", "jar", "node-pkg", …
	FilePath string    `json:"filePath,omitempty"`
	Packages []Package `json:"packages"`
}

// Secret is a place with something that looks like a credential. The matched text is
// never stored.
type Secret struct {
	Rule      string `json:"rule"`
	Category  string `json:"category"`
	Severity  string `json:"severity"`
	Title     string `json:"title"`
	Path      string `json:"path"`
	StartLine int    `json:"startLine"`
	EndLine   int    `json:"endLine"`
	Layer     Digest `json:"layer,omitempty"` // DiffID; "" for the image configuration
	// Platforms is as in [Vulnerability].
	Platforms []string `json:"platforms,omitempty"`
}

// AnalyzerError is one failure to read something; it makes Risk partial.
type AnalyzerError struct {
	Risk Risk `json:"risk"`
	// Kind is the kind of gap, one of [GapKinds]: a stable kebab-case word. It
	// is "" in inventories made before there were kinds, and then no entry of
	// policy.allowIncomplete with a kind covers the error.
	Kind     string `json:"kind,omitempty"`
	Analyzer string `json:"analyzer"`
	Path     string `json:"path"`
	Message  string `json:"message"`
}

// ErrorCount counts errors of one risk and kind of which nothing else is kept.
type ErrorCount struct {
	Risk  Risk   `json:"risk"`
	Kind  string `json:"kind,omitempty"` // as in [AnalyzerError]
	Count int    `json:"count"`
}

// Skip is one file left out by a stated limit, or, with a Pattern or without a
// Path, all files that were left out for one Reason.
type Skip struct {
	Risk   Risk   `json:"risk"`
	Path   string `json:"path"`
	Reason string `json:"reason"`
	Size   int64  `json:"size"` // bytes, of all Files together
	// Pattern is the pattern of scan.secrets.skipPaths that left the files out.
	Pattern string `json:"pattern,omitempty"`
	Files   int    `json:"files,omitempty"` // their number; 0 for the one at Path
}

// PackageCount is the number of packages of the distribution and of all
// applications.
func (inv *Inventory) PackageCount() int {
	n := len(inv.Packages)
	for _, a := range inv.Applications {
		n += len(a.Packages)
	}
	return n
}
