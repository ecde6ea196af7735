//go:build goexperiment.jsonv2

package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"

	"github.com/aquasecurity/trivy/pkg/fanal/analyzer"
	"github.com/aquasecurity/trivy/pkg/fanal/secret"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/fanal/utils"
	"github.com/bmatcuk/doublestar/v4"

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
	config  protocol.Secrets
}

func newSecrets(c protocol.Secrets) *secrets {
	// The scanner makes loggers for every rule and piece of a file; a listener
	// would double its time. The one error that it swallows is seen by scan.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	// A configuration, even an empty one, makes the scanner copy the built-in
	// rules instead of writing to them (trivy#10542).
	return &secrets{scanner: secret.NewScanner(&secret.Config{}), config: c}
}

// wants says whether the file is searched. A file left out by the
// configuration is noted; those that Trivy's built-in patterns leave out
// (pictures, archives, documentation, installed packages) are too many to be.
func (s *secrets) wants(name string, size int64, n *notes) bool {
	// The built-in patterns are written for paths without a leading slash.
	if size < minSecretBytes || s.scanner.IsSkipped(name) || s.scanner.AllowPath(name) {
		return false
	}
	for _, pattern := range s.config.SkipPaths {
		if ok, _ := doublestar.Match(strings.TrimPrefix(pattern, "/"), name); ok {
			n.skip(gate.RiskSecrets, name, "matches scan.secrets.skipPaths", size)
			return false
		}
	}
	if s.config.MaxFileBytes > 0 && size > s.config.MaxFileBytes {
		n.skip(gate.RiskSecrets, name, fmt.Sprintf("larger than scan.secrets.maxFileBytes (%s)", gate.ByteSize(s.config.MaxFileBytes)), size)
		return false
	}
	return true
}

// scan searches one kept file. Binary files are left out, but for compiled
// Python, as Trivy does.
func (s *secrets) scan(j *job) {
	r, err := j.content.open()
	if err != nil {
		j.files.notes.fail(gate.RiskSecrets, analyzerSecrets, j.name, err.Error())
		return
	}
	defer r.Close()
	binary, err := utils.IsBinary(r, j.content.size)
	if err != nil || (binary && path.Ext(j.name) != ".pyc") {
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

// censor removes the secret's text and its surroundings. Only where it lies
// leaves this process.
func censor(s *ftypes.Secret) {
	for i := range s.Findings {
		f := &s.Findings[i]
		f.Match, f.Code, f.Offset = "", ftypes.Code{}, 0
	}
}
