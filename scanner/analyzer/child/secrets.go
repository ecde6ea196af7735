//go:build goexperiment.jsonv2

package child

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"path"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/fanal/utils"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/secret"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

const analyzerSecrets = "secrets"

// minSecretBytes is the size below which a file holds no secret (Trivy's own
// bound).
const minSecretBytes = 10

// secrets searches files with Trivy's rules, under limits that Trivy's own
// analyser does not have. It is safe for concurrent use.
type secrets struct {
	scanner secret.Scanner
	skip    []skipPath
	maxFile int64
}

func newSecrets(c protocol.Secrets) *secrets {
	// The scanner makes loggers for every rule and piece of a file; a listener
	// would double its time. The one error that it swallows is seen by scan.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	s := &secrets{skip: skipPaths(c.SkipPaths), maxFile: c.MaxFileBytes}
	// A configuration, even an empty one, makes the scanner copy the built-in
	// rules instead of writing to them (trivy#10542).
	s.scanner = secret.NewScanner(&secret.Config{SkipPatterns: &[]string{}})
	s.scanner.AllowRules = withoutPaths(s.scanner.AllowRules)
	for i, r := range s.scanner.Rules {
		s.scanner.Rules[i].AllowRules = withoutPaths(r.AllowRules)
	}
	return s
}

// withoutPaths takes from Trivy's exceptions those that go by the path: paths
// are left out by scan.secrets.skipPaths and by nothing else. Those that go by
// the text ("example") stay.
func withoutPaths(rules secret.AllowRules) secret.AllowRules {
	var kept secret.AllowRules
	for _, r := range rules {
		if r.Path = nil; r.Regex != nil {
			kept = append(kept, r)
		}
	}
	return kept
}

// wants says whether the file is searched. One that the configuration leaves
// out is noted.
func (s *secrets) wants(name string, size int64, n *notes) bool {
	if size < minSecretBytes {
		return false
	}
	if p := firstMatch(s.skip, name); p != "" {
		n.leaveOut(gate.Skip{Risk: gate.RiskSecrets, Reason: "matches scan.secrets.skipPaths", Pattern: p, Files: 1, Size: size})
		return false
	}
	if s.maxFile > 0 && size > s.maxFile {
		n.skip(gate.RiskSecrets, name, fmt.Sprintf("larger than scan.secrets.maxFileBytes (%s)", gate.ByteSize(s.maxFile)), size)
		return false
	}
	return true
}

// scan searches one kept file. Binary files are left out, but for compiled
// Python, as Trivy does, and noted.
func (s *secrets) scan(j *job) {
	r, err := j.content.open()
	if err != nil {
		j.files.notes.fail(gate.RiskSecrets, analyzerSecrets, j.name, err.Error())
		return
	}
	defer r.Close()
	binary, err := utils.IsBinary(r, j.content.size)
	if err != nil {
		j.files.notes.fail(gate.RiskSecrets, analyzerSecrets, j.name, err.Error())
		return
	}
	if binary && path.Ext(j.name) != ".pyc" {
		j.files.notes.leaveOut(gate.Skip{Risk: gate.RiskSecrets, Reason: "binary file", Files: 1, Size: j.content.size})
		return
	}
	var text io.Reader = r
	if binary {
		printable, err := utils.ExtractPrintableBytes(r)
		if err != nil {
			j.files.notes.fail(gate.RiskSecrets, analyzerSecrets, j.name, err.Error())
			return
		}
		text = bytes.NewReader(printable)
	}
	watched := &failing{r: text}
	found := s.scanner.Scan(secret.ScanArgs{FilePath: "/" + j.name, Content: watched, Binary: binary})
	if watched.err != nil {
		j.files.notes.fail(gate.RiskSecrets, analyzerSecrets, j.name, watched.err.Error())
	}
	if len(found.Findings) > 0 {
		censor(&found)
		j.files.result.Merge(&analyzer.AnalysisResult{Secrets: []ftypes.Secret{found}})
	}
}

// failing remembers an error of its reader.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// censor removes the secret's text and its surroundings. Only its place leaves this
// process.
func censor(s *ftypes.Secret) {
	for i := range s.Findings {
		f := &s.Findings[i]
		f.Match, f.Code, f.Offset = "", ftypes.Code{}, 0
	}
}
