package format

import "time"

// State is how a package stands toward a vulnerability.
type State int

// The values of State, in no order. The zero value is none of them.
const (
	Fixed              State = iota + 1 // by Statement.Version
	Affected                            // there is no fix
	NotAffected                         // at no version
	UnderInvestigation                  // the vendor does not know yet
	WillNotFix
	FixDeferred
	EndOfLife
)

// Names says what Statement.Package is the name of.
type Names int

// The values of Names.
const (
	Binary Names = iota // an installed package
	Source              // the package that installed ones are built from
)

// Release names a release of a distribution in the vendor's words: a CPE
// ("cpe:/a:openEuler:openEuler:24.03-LTS"), a name ("Anolis OS 23", "SUSE Linux Enterprise
// Server 15 SP5") or an ecosystem of OSV ("openEuler:22.03-LTS-SP3"). There may be several
// for one release, the best first; none where the file does not tell.
type Release []string

// Statement is what an advisory says of one package in one release.
type Statement struct {
	Release Release
	Names   Names
	Package string
	// Module is "nodejs:20", the module and the stream that the package is of, or "".
	Module string
	// Arch is the architecture that the statement is about, "" for all of them. "noarch"
	// is one that all have.
	Arch  string
	State State
	// Version is the first that has the fix, with the epoch where the source gives one
	// ("1:1.1.1f-15.oe1"). In another state than Fixed it is the version that the state
	// was told of, which is seldom given.
	Version string
	// NoEpoch says that the source has left the epoch out, so that only what follows it
	// can be compared. It is false where no epoch means that the epoch is 0.
	NoEpoch bool
}

// Vulnerability is one of those that an entry is about.
type Vulnerability struct {
	// ID is the CVE, or the vendor's own identifier where there is none.
	ID string
	// Severity is the vendor's word, "" for none. CVSS are vectors of version 3 and 4.
	Severity    string
	CVSS        []string
	Title       string
	Description string
	PublishedAt time.Time
}

// Entry is one advisory, or the part of one whose statements are about the same
// vulnerabilities.
type Entry struct {
	// Advisory is the vendor's identifier, "" where the vulnerability is the only one.
	Advisory        string
	Vulnerabilities []Vulnerability
	Statements      []Statement
	References      []string
	// PublishedAt and ModifiedAt are zero where the source does not tell.
	PublishedAt, ModifiedAt time.Time
	// At is the place in the file, for messages: "line 120" or "entry 3".
	At string
}

// Gap is something that a file says and that could not be understood, so that a
// vulnerability may be missing.
type Gap struct {
	// What was left out ("definition", "package"), of which advisory, where, and why.
	What, Of, At, Why string
	// Release is of whom, as far as it is known.
	Release Release
}

// Sink is what a reader hands on. Errors of Entry end the reading.
type Sink struct {
	Entry func(Entry) error
	// Gap notes what is left out; it never fails.
	Gap func(Gap)
	// Skip counts what is left out on purpose ("updates that fix no vulnerability").
	Skip func(reason string)
	// Stated is called with times that the file gives for itself as a whole.
	Stated func(time.Time)
}

// Limits bound what a file may make a reader do. The zero value of a field is the default
// of [DefaultLimits].
type Limits struct {
	Bytes   int64 // unpacked, of a file
	Ratio   int64 // unpacked bytes for each packed one, beyond RatioSlack
	Token   int   // bytes of one name, text, tag or JSON value
	Depth   int   // nested elements
	Entries int   // advisories or definitions of a file
	Parts   int   // statements, products or tests of a file
	Held    int   // bytes that a reader of XML keeps of a file in memory, about
}

// ratioSlack is unpacked without a look at the ratio: a small file may be a lot of one
// thing.
const ratioSlack = 64 << 20

// DefaultLimits are some times what the largest known files have: Oracle's OVAL of all
// years has 170 MB, 6,000 definitions and 900,000 tests; SUSE's updateinfo packs 1:25. Of
// Oracle's some 300 MB are kept; 10 million parts could be 2 GB, so that bytes are bounded.
func DefaultLimits() Limits {
	return Limits{Bytes: 1 << 30, Ratio: 200, Token: 4 << 20, Depth: 64, Entries: 1_000_000, Parts: 10_000_000, Held: 512 << 20}
}

// Or returns l with the defaults in the place of zeros.
func (l Limits) Or() Limits {
	d := DefaultLimits()
	pick := func(v *int, or int) {
		if *v <= 0 {
			*v = or
		}
	}
	if l.Bytes <= 0 {
		l.Bytes = d.Bytes
	}
	if l.Ratio <= 0 {
		l.Ratio = d.Ratio
	}
	pick(&l.Token, d.Token)
	pick(&l.Depth, d.Depth)
	pick(&l.Entries, d.Entries)
	pick(&l.Parts, d.Parts)
	pick(&l.Held, d.Held)
	return l
}
