//go:build goexperiment.jsonv2

package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/semaphore"
	xio "github.com/aquasecurity/trivy/pkg/x/io"
	"golang.org/x/sync/errgroup"

	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// files runs the analysers over the regular files of the layer: a few files at
// a time while the archive is read, then those analysers that want to see all
// their files together.
type files struct {
	tools   *tools
	bench   *bench
	notes   *notes
	spool   *spool
	result  *analyzer.AnalysisResult
	secrets *secrets // nil: not configured
	slots   chan *slot
	all     int // number of slots

	post      analyzer.AnalyzerGroup
	together  map[analyzer.Type]*analyzer.CompositeFS
	together1 *analyzer.CompositeFS // owns the temporary files of all

	jars  sync.Mutex // see jar
	homes javaHomes

	mu         sync.Mutex
	facts      []fact
	release    []gate.ReleaseFile
	components []component
	archives   []archive
	err        error // the first that ends the analysis
}

// slot is the right to analyse one file. It has analysers of its own so that an
// error that Trivy only logs can be told to be about this file.
type slot struct {
	path   string
	typed  []typed
	result *analyzer.AnalysisResult // of the file
}

// typed is one of Trivy's analysers alone in its group.
type typed struct {
	name  analyzer.Type
	group analyzer.AnalyzerGroup
}

var options = analyzer.AnalysisOptions{Offline: true}

// tools are what a child uses for one layer after the other. Making them takes longer
// than the analysis of a small layer. Nothing of a layer stays in them. They are for one
// goroutine.
type tools struct {
	secrets *secrets
	benches []*bench // that are not used
}

// bench is what the files of a part of a layer are analysed with.
type bench struct {
	heard *heard
	slots []*slot
}

// bench gives one to a part, with so many slots.
func (t *tools) bench(n *notes, slots int) (*bench, analyzer.Versions, error) {
	v, err := versions()
	if err != nil {
		return nil, v, err
	}
	if k := len(t.benches) - 1; k >= 0 && len(t.benches[k].slots) == slots {
		b := t.benches[k]
		t.benches = t.benches[:k]
		b.heard.notes = n
		return b, v, nil
	}
	single, together := slices.Sorted(maps.Keys(v.Analyzers)), slices.Sorted(maps.Keys(v.PostAnalyzers))
	b := &bench{heard: &heard{n}}
	for range slots {
		s := &slot{result: analyzer.NewAnalysisResult()}
		for _, name := range single {
			g, err := b.group(append(single, together...), name, func() string { return s.path })
			if err != nil {
				return nil, v, err
			}
			s.typed = append(s.typed, typed{analyzer.Type(name), g})
		}
		b.slots = append(b.slots, s)
	}
	return b, v, nil
}

// newFiles prepares the analysers for so many files at a time.
func newFiles(t *tools, n *notes, s *spool, unit protocol.Unit, slots int) (*files, error) {
	f := &files{
		tools:    t,
		notes:    n,
		spool:    s,
		result:   analyzer.NewAnalysisResult(),
		all:      slots,
		together: map[analyzer.Type]*analyzer.CompositeFS{},
	}
	if unit.Secrets.Enabled {
		if t.secrets == nil {
			t.secrets = newSecrets(unit.Secrets)
		}
		f.secrets = t.secrets
	}
	b, v, err := t.bench(n, slots)
	if err != nil {
		return nil, err
	}
	f.bench = b
	f.slots = make(chan *slot, f.all)
	for _, s := range b.slots {
		f.slots <- s
	}
	if f.together1, err = analyzer.NewCompositeFS(); err != nil {
		return nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	// Post-analysers make their loggers when they are made, and may keep what they
	// have seen: they are new for each part.
	b.listen("", nil)
	f.post, err = analyzer.NewAnalyzerGroup(analyzer.AnalyzerOptions{
		DisabledAnalyzers: append(types(slices.Sorted(maps.Keys(v.Analyzers))), disabled...), DetectionPriority: ftypes.PriorityComprehensive, Parallel: f.all,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the analysers: %w", err)
	}
	return f, nil
}

func types(names []string) []analyzer.Type {
	out := make([]analyzer.Type, len(names))
	for i, n := range names {
		out[i] = analyzer.Type(n)
	}
	return out
}

// listen makes by responsible for the records of loggers made from now on and
// of those who ask for the default logger at each record.
func (b *bench) listen(by analyzer.Type, path func() string) {
	slog.SetDefault(slog.New(&listener{heard: b.heard, by: by, path: path}))
}

// group has the one analyser only; it takes its logger when it is made.
func (b *bench) group(all []string, only string, path func() string) (analyzer.AnalyzerGroup, error) {
	b.listen(analyzer.Type(only), path)
	others := slices.DeleteFunc(types(all), func(t analyzer.Type) bool { return t == analyzer.Type(only) })
	g, err := analyzer.NewAnalyzerGroup(analyzer.AnalyzerOptions{
		DisabledAnalyzers: append(others, disabled...), DetectionPriority: ftypes.PriorityComprehensive,
	})
	if err != nil {
		return g, fmt.Errorf("preparing analyser %q: %w", only, err)
	}
	return g, nil
}

// file gives one regular file to everyone who wants it. It returns before they
// are done.
func (f *files) file(ctx context.Context, name string, info os.FileInfo, r io.Reader) error {
	s := <-f.slots
	s.path = name
	job := &job{files: f, name: name, info: info, archive: f.homes.look(name, info.Size(), r), result: s.result}
	if err := job.start(ctx, s); err != nil {
		job.finish()
		f.slots <- s
		return err
	}
	go func() {
		job.finish()
		s.result = f.take(name, s.result)
		f.slots <- s
	}()
	return f.failed()
}

// take adds what the analysers of single files found. What says something of
// the whole image, and does not name its file, is kept by the file's name. It
// returns an empty result for the next file.
func (f *files) take(name string, r *analyzer.AnalysisResult) *analyzer.AnalysisResult {
	said := fact{Path: name, OS: r.OS, Repository: r.Repository, BuildInfo: r.BuildInfo}
	r.OS, r.Repository, r.BuildInfo = ftypes.OS{}, nil, nil
	if said.OS != (ftypes.OS{}) || said.Repository != nil || said.BuildInfo != nil {
		f.mu.Lock()
		f.facts = append(f.facts, said)
		f.mu.Unlock()
	}
	if len(r.PackageInfos)+len(r.Applications)+len(r.Secrets)+len(r.Licenses)+len(r.SystemInstalledFiles) == 0 {
		return r
	}
	f.result.Merge(r)
	return analyzer.NewAnalysisResult()
}

// wants says whether an analyser or the search for secrets would read a file.
func (f *files) wants(name string, info os.FileInfo) bool {
	s := <-f.slots
	defer func() { f.slots <- s }()
	return len(f.readers(s, name, info)) > 0 || (f.secrets != nil && f.secrets.wants(name, info.Size(), &notes{}))
}

// wait returns when no file is being analysed.
func (f *files) wait() {
	taken := make([]*slot, 0, f.all)
	for range f.all {
		taken = append(taken, <-f.slots)
	}
	for _, s := range taken {
		f.slots <- s
	}
}

// close removes what was kept for the analysers that see all their files at once, and
// lays the tools down for the next part. No file is being analysed.
func (f *files) close() {
	for _, s := range f.bench.slots {
		s.path, s.result = "", analyzer.NewAnalysisResult()
	}
	f.tools.benches = append(f.tools.benches, f.bench)
	for _, c := range f.together {
		_ = c.Cleanup()
	}
	if f.together1 != nil {
		_ = f.together1.Cleanup()
	}
}

func (f *files) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *files) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// job is one file on its way.
type job struct {
	files   *files
	name    string
	info    os.FileInfo
	archive io.Reader
	result  *analyzer.AnalysisResult // of the analysers that see one file

	once    sync.Once
	content *content
	err     error
	group   errgroup.Group
	secrets bool
	jar     bool
	npm     bool
	release bool
	bitnami bool
}

// open gives the content to one analyser; the first one makes it be read from
// the archive.
func (j *job) open() (xio.ReadSeekCloserAt, error) {
	j.once.Do(func() { j.content, j.err = j.files.spool.keep(j.archive, j.info.Size()) })
	if j.err != nil {
		return nil, j.err
	}
	return j.content.open()
}

// start asks everyone in the goroutine that reads the archive, because the
// content must be kept before the next entry is read.
func (j *job) start(ctx context.Context, s *slot) error {
	if over, err := j.overDatabase(); over != "" || err != nil {
		if over != "" {
			j.files.notes.failKind(gate.RiskVulnerabilities, gate.GapTooLarge, analyzerDatabase, j.name, over)
		}
		return j.tolerate(gate.RiskVulnerabilities, analyzerDatabase, err)
	}
	limit := semaphore.New(len(s.typed))
	for _, t := range s.typed {
		err := t.group.AnalyzeFile(ctx, &j.group, limit, j.result, "", j.name, j.info, j.open, nil, options)
		if err := j.tolerate(gate.RiskVulnerabilities, string(t.name), err); err != nil {
			return err
		}
	}
	if wants := j.files.post.RequiredPostAnalyzers(j.name, j.info); len(wants) > 0 {
		if err := j.tolerate(gate.RiskVulnerabilities, string(wants[0]), j.files.keepTogether(wants, j)); err != nil {
			return err
		}
	}
	for _, t := range ownReaders(j.name, j.info.Size()) {
		if t == analyzer.TypeYarn {
			j.files.notes.failKind(gate.RiskVulnerabilities, gate.GapPlugAndPlay, string(t), j.name, plugAndPlay)
			continue
		}
		if err := j.want(gate.RiskVulnerabilities, string(t), j.wanted(t)); err != nil {
			return err
		}
	}
	if j.files.secrets != nil && j.files.secrets.wants(j.name, j.info.Size(), j.files.notes) {
		return j.want(gate.RiskSecrets, analyzerSecrets, &j.secrets)
	}
	return nil
}

// wanted is where it is noted that one of our own analysers waits for the file.
func (j *job) wanted(t analyzer.Type) *bool {
	switch t {
	case analyzer.TypeJar:
		return &j.jar
	case typeRelease:
		return &j.release
	case typeBitnami:
		return &j.bitnami
	}
	return &j.npm
}

// want makes sure that the content is kept.
func (j *job) want(risk gate.Risk, by string, wanted *bool) error {
	r, err := j.open()
	if err != nil {
		return j.tolerate(risk, by, err)
	}
	r.Close()
	*wanted = true
	return nil
}

// tolerate notes a file that is too large to be analysed; any other error ends
// the layer.
func (j *job) tolerate(risk gate.Risk, by string, err error) error {
	if errors.Is(err, errOverLimit) {
		j.files.notes.failKind(risk, gate.GapTooLarge, by, j.name, fmt.Sprintf("the file's %d bytes are over the limit for what an analyser reads", j.info.Size()))
		return nil
	}
	return err
}

// finish waits for the analysers, runs ours and lets the content go.
func (j *job) finish() {
	if err := j.group.Wait(); err != nil {
		// Trivy stops a scan for these (a deadline, an error for its user); to
		// us it is a file that was not understood.
		j.files.notes.fail(gate.RiskVulnerabilities, "analyzer", j.name, err.Error())
	}
	if j.release {
		j.tell(typeRelease, j.readRelease())
	}
	if j.bitnami {
		j.tell(typeBitnami, j.readBitnami())
	}
	if j.jar {
		j.files.jar(j)
	}
	if j.npm {
		j.files.npm(j)
	}
	if j.secrets {
		j.files.secrets.scan(j)
	}
	if j.content != nil {
		j.content.drop()
	}
}

// tell notes that a file could not be read by one of our own readers.
func (j *job) tell(by analyzer.Type, err error) {
	if err != nil {
		j.files.notes.fail(gate.RiskVulnerabilities, string(by), j.name, err.Error())
	}
}

// maxTogether bounds a file that is read with others: lists of packages as text,
// of which the largest known has a few MiB. Binaries, JAR files and RPM's databases
// are not among them.
const maxTogether = 64 << 20

// keepTogether writes the file down for the analysers that see all their files
// at once. It counts against the budget until the end.
func (f *files) keepTogether(wants []analyzer.Type, j *job) error {
	if j.info.Size() > maxTogether {
		return errOverLimit
	}
	if err := f.spool.reserve(j.info.Size()); err != nil {
		return err
	}
	// A file of its own, whether or not another analyser has one.
	real, err := f.together1.CopyFileToTemp(j.open, j.info)
	if err != nil {
		return err
	}
	for _, t := range wants {
		c := f.together[t]
		if c == nil {
			if c, err = analyzer.NewCompositeFS(); err != nil {
				return fmt.Errorf("making a temporary directory: %w", err)
			}
			f.together[t] = c
		}
		if err := c.CreateLink([]analyzer.Type{t}, "", j.name, real); err != nil {
			// Two entries of which one is the other's directory: no runtime
			// unpacks that.
			f.notes.fail(riskOf(t), string(t), j.name, err.Error())
		}
	}
	return nil
}

// finish runs the analysers that see all their files at once, each alone, so
// that one that fails does not take the others along.
func (f *files) finish(ctx context.Context) (*analyzer.AnalysisResult, error) {
	f.wait()
	if err := f.failed(); err != nil {
		return nil, err
	}
	for _, t := range slices.Sorted(maps.Keys(f.together)) {
		f.bench.listen(t, nil)
		// A result of its own: what another analyser found is no reason to
		// leave a file out.
		part := analyzer.NewAnalysisResult()
		if err := f.post.PostAnalyze(ctx, f.together[t], part, options); err != nil {
			if diskFull(err) {
				return nil, err
			}
			f.notes.fail(riskOf(t), string(t), "", err.Error())
			continue
		}
		f.result.Merge(part)
	}
	return f.result, nil
}
