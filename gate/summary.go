package gate

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"math"
	"time"
	"unicode/utf8"
)

// SummaryFormat is the version of [Summary]: 2, since it tells vulnerabilities by
// severity. A reader takes no other for one: then
// the large values answer, as they do for records of versions before there were
// summaries.
const SummaryFormat = 2

// maxSummaryText bounds each text of a summary, in bytes, so that a summary stays
// below 1 kB. What an image has longer is left to the large values.
const maxSummaryText = 64

// Summary is what a record holds of its large values beside their ids: what most
// questions about an image need, so that neither is read. Each half names the
// value that it was made from, and says nothing about another.
type Summary struct {
	Inventory InventorySummary `json:"inventory,omitzero"`
	Findings  FindingsSummary  `json:"findings,omitzero"`
}

// InventorySummary is the half that depends on the inventory alone.
type InventorySummary struct {
	Format int    `json:"format,omitempty"` // SummaryFormat
	Of     string `json:"of,omitempty"`     // the id of the inventory, "" for no summary

	// Incomplete are the risks whose coverage is neither complete nor notLookedAt,
	// in the order of [Risks], each once; what is missing stands in the inventory.
	Incomplete        []Risk    `json:"incomplete,omitempty"`
	DistributionFiles bool      `json:"distributionFiles,omitempty"`
	PackageDatabase   bool      `json:"packageDatabase,omitempty"`
	Family            string    `json:"family,omitempty"`  // of the distribution
	Release           string    `json:"release,omitempty"` // OS.Name
	EOL               bool      `json:"eol,omitempty"`
	Platform          string    `json:"platform,omitempty"`
	Isolation         string    `json:"isolation,omitempty"`
	Created           time.Time `json:"created,omitzero"`
	Size              int64     `json:"size,omitempty"` // of the compressed layers, bytes
	User              string    `json:"user,omitempty"` // of the configuration
	Secrets           int       `json:"secrets,omitempty"`

	// RisksAlike and SecretsAlike are hashes: inventories with the same one have the
	// same coverage and reasons, or the same secrets but for their layers.
	RisksAlike   string `json:"risksAlike,omitempty"`
	SecretsAlike string `json:"secretsAlike,omitempty"`
}

// FindingsSummary is the half that depends on the findings alone.
type FindingsSummary struct {
	Format int    `json:"format,omitempty"` // SummaryFormat
	Of     string `json:"of,omitempty"`     // the id of the findings, "" for no summary

	Generation   int64     `json:"generation,omitempty"`
	Advisories   Digest    `json:"advisories,omitempty"`
	UpdatedAt    time.Time `json:"updatedAt,omitzero"`
	Unassessable bool      `json:"unassessable,omitempty"`
	EOL          bool      `json:"eol,omitempty"`
	Gaps         int       `json:"gaps,omitempty"`

	// Alike has a hash of the vulnerabilities of each severity and those that are worse,
	// in the order of [Severities], "" where there are none: findings with the same one
	// have the same, but for their layers and for when each was first seen. So have
	// most builds of one application on one base.
	Alike     [5]string `json:"alike"`
	GapsAlike string    `json:"gapsAlike,omitempty"`

	// Uses are the buckets of the advisory data that the findings depend on, see
	// [JoinUses]; "" where that is not known, as in summaries of earlier versions.
	Uses string `json:"uses,omitempty"`
	// NamesAlike is likewise of what an index said of Java archives: it decides which gaps
	// of the inventory are left.
	NamesAlike string `json:"namesAlike,omitempty"`
}

// FindingsHashes are Alike and GapsAlike of a summary: most of what it costs.
type FindingsHashes struct {
	Alike     [5]string
	GapsAlike string
}

// Hash keeps the hashes of the vulnerabilities and gaps with the findings, for the next that
// compares or summarizes them. It is called once, by what has just made the findings:
// afterwards no vulnerability and no gap may change, but for layers and the times at which
// vulnerabilities were first seen.
func (f *Findings) Hash() {
	h := f.hashes()
	f.Hashed = &h
}

func (f *Findings) hashes() FindingsHashes {
	if f.Hashed != nil {
		return *f.Hashed
	}
	return FindingsHashes{vulnerabilitiesAlike(f.Vulnerabilities, f.Beside.Alike()), gapsAlike(f.Gaps)}
}

// Summarized reports whether the record's summary is that of the values that it
// names. Otherwise nothing of the half that is not may be used.
func (r *Record) Summarized() bool { return r.InventorySummarized() && r.FindingsSummarized() }

// InventorySummarized is [Record.Summarized] of the inventory's half.
func (r *Record) InventorySummarized() bool {
	s := &r.Summary.Inventory
	return s.Format == SummaryFormat && s.Of != "" && s.Of == r.InventoryID
}

// FindingsSummarized is [Record.Summarized] of the half of the findings.
func (r *Record) FindingsSummarized() bool {
	s := &r.Summary.Findings
	return s.Format == SummaryFormat && s.Of != "" && s.Of == r.FindingsID
}

// Summarize makes the summary of an inventory with an id; it is the zero value when
// the inventory has a text that is too long or not one.
func (inv *Inventory) Summarize(id string) InventorySummary {
	s := InventorySummary{
		Format: SummaryFormat, Of: id,
		DistributionFiles: inv.DistributionFiles, PackageDatabase: inv.PackageDatabase,
		Family: inv.OS.Family, Release: inv.OS.Name, EOL: inv.OS.EOL,
		Platform: inv.Platform.String(), Isolation: inv.Isolation.Level,
		Created: inv.Created, Size: inv.Size, User: inv.Config.User,
		Secrets: len(inv.Secrets),
	}
	for _, text := range []string{s.Family, s.Release, s.Platform, s.Isolation, s.User} {
		if len(text) > maxSummaryText || !utf8.ValidString(text) {
			return InventorySummary{}
		}
	}
	for _, r := range Risks() {
		if status, ok := inv.Risks[r]; ok && status.Coverage != Complete && status.Coverage != NotLookedAt {
			s.Incomplete = append(s.Incomplete, r)
		}
	}
	s.RisksAlike, s.SecretsAlike = risksAlike(inv.Risks), secretsAlike(inv.Secrets)
	return s
}

// Summarize makes the summary of findings with an id.
func (f *Findings) Summarize(id string) FindingsSummary {
	h := f.hashes()
	return FindingsSummary{
		Format: SummaryFormat, Of: id,
		Generation: f.Generation, Advisories: f.Advisories, UpdatedAt: f.UpdatedAt,
		Unassessable: f.Unassessable != "", EOL: f.EOL, Gaps: len(f.Gaps),
		Alike: h.Alike, GapsAlike: h.GapsAlike, NamesAlike: f.Archives.Alike(), Uses: f.Uses,
	}
}

// Same reports whether findings of the same inventory, by the same matcher, are those of
// the summary, but for the generation, the times, and when each was first seen. It is
// false for images that cannot be assessed, and where other buckets were looked into than
// the summary says, or it does not say it.
func (s *FindingsSummary) Same(f *Findings) bool {
	if s.Format != SummaryFormat || s.Unassessable || f.Unassessable != "" || s.EOL != f.EOL || s.Gaps != len(f.Gaps) || s.Uses != f.Uses || s.NamesAlike != f.Archives.Alike() {
		return false
	}
	h := f.hashes()
	return s.GapsAlike == h.GapsAlike && s.Alike == h.Alike
}

func risksAlike(risks map[Risk]RiskStatus) string {
	a := newAlike()
	for _, r := range Risks() {
		status, ok := risks[r]
		a.flag(ok)
		a.text(string(status.Coverage), status.Reason)
	}
	return a.sum()
}

// secretsAlike is "" for none.
func secretsAlike(secrets []Secret) string {
	if len(secrets) == 0 {
		return ""
	}
	a := newAlike()
	for i := range secrets {
		s := &secrets[i]
		a.text(s.Rule, s.Category, s.Severity, s.Title, s.Path)
		a.number(int64(s.StartLine))
		a.number(int64(s.EndLine))
	}
	return a.sum()
}

// gapsAlike is "" for none.
func gapsAlike(gaps []Gap) string {
	if len(gaps) == 0 {
		return ""
	}
	a := newAlike()
	for _, g := range gaps {
		a.text(g.Package, g.Version, g.Reason)
	}
	return a.sum()
}

// Alike is a hash: with the same one the index has said the same. It is "" for nil.
func (n *ArchiveNames) Alike() string {
	if n == nil {
		return ""
	}
	a := newAlike()
	a.flag(n.Index)
	a.text(n.Problem)
	for i := range n.Named {
		x := &n.Named[i]
		a.text(x.File, x.Inside, x.SHA1, x.Name, x.Version, x.By)
	}
	return a.sum()
}

// SeverityRank is the place of a severity in [Severities]; that of UNKNOWN for what is
// none of them.
func SeverityRank(s Severity) int {
	switch s {
	case SeverityCritical:
		return 0
	case SeverityHigh:
		return 1
	case SeverityMedium:
		return 2
	case SeverityLow:
		return 3
	}
	return 4
}

// vulnerabilitiesAlike hashes each vulnerability, and for each severity the hashes of
// those that are at least as severe in the order of the list.
// vulnerabilitiesAlike depends on the documents beside the image too: findings with other
// ones are decided otherwise.
func vulnerabilitiesAlike(list []Vulnerability, beside string) (hashes [5]string) {
	each := make([][sha256.Size]byte, len(list))
	var counts [5]int
	a := newAlike()
	for i := range list {
		counts[SeverityRank(list[i].Severity)]++
		a.vulnerability(&list[i])
		each[i] = sha256.Sum256(a.buf)
		a.buf = a.buf[:0]
	}
	for rank, n := range counts {
		if n == 0 {
			if rank > 0 {
				hashes[rank] = hashes[rank-1]
			}
			continue
		}
		a := newAlike()
		for i := range list {
			if SeverityRank(list[i].Severity) <= rank {
				a.buf = append(a.buf, each[i][:]...)
				a.text()
			}
		}
		if beside != "" {
			a.text(beside)
		}
		hashes[rank] = a.sum()
	}
	return hashes
}

// vulnerability writes one; nothing else is in the room.
func (a *alike) vulnerability(v *Vulnerability) {
	for _, s := range [...]string{v.ID, v.Package, v.PackageID, v.Type, v.Path, v.InstalledVersion, v.FixedVersion,
		v.Status, string(v.Severity), v.SeveritySource, v.Title, v.URL, v.PURL, v.Source} {
		a.number(int64(len(s)))
		a.buf = append(a.buf, s...)
	}
	a.number(int64(math.Float64bits(v.CVSS)))
	a.flag(v.PublishedAt != nil)
	if v.PublishedAt != nil {
		a.number(v.PublishedAt.Unix())
		a.number(int64(v.PublishedAt.Nanosecond()))
	}
	if len(v.Aliases) == 0 && v.Root == "" {
		return // so that the hash of what has none is that of earlier versions
	}
	a.number(int64(len(v.Root)))
	a.buf = append(a.buf, v.Root...)
	for _, s := range v.Aliases {
		a.number(int64(len(s)))
		a.buf = append(a.buf, s...)
	}
}

// alike hashes values, each with its length or of one length, so that no two lists
// are written alike.
type alike struct {
	hash hash.Hash
	buf  []byte
}

func newAlike() *alike { return &alike{sha256.New(), make([]byte, 0, 4096)} }

func (a *alike) text(list ...string) {
	for _, s := range list {
		a.number(int64(len(s)))
		a.buf = append(a.buf, s...)
	}
	if len(a.buf) > 3072 {
		a.flush()
	}
}

func (a *alike) number(n int64) { a.buf = binary.LittleEndian.AppendUint64(a.buf, uint64(n)) }

func (a *alike) flag(v bool) {
	if v {
		a.buf = append(a.buf, 1)
		return
	}
	a.buf = append(a.buf, 0)
}

func (a *alike) flush() {
	a.hash.Write(a.buf)
	a.buf = a.buf[:0]
}

// sum is 18 of the hash's bytes: finding two that are alike takes 2^72 tries.
func (a *alike) sum() string {
	a.flush()
	var sum [sha256.Size]byte
	return base64.RawURLEncoding.EncodeToString(a.hash.Sum(sum[:0])[:18])
}
