package packed

import (
	"maps"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

func (w *writer) inventory(inv *gate.Inventory) {
	w.integer(int64(inv.Format))
	w.digest(inv.Digest)
	w.text(inv.AnalyzerSet)
	w.time(inv.AnalyzedAt)
	w.text(inv.Isolation.Level)
	w.short(inv.Isolation.Missing)
	for _, s := range [...]string{inv.Platform.OS, inv.Platform.Architecture, inv.Platform.Variant, inv.Platform.OSVersion} {
		w.text(s)
	}
	w.time(inv.Created)
	w.integer(inv.Size)
	w.config(&inv.Config)
	w.list(len(inv.History), inv.History == nil)
	for _, h := range inv.History {
		w.time(h.Created)
		w.text(h.CreatedBy)
		w.text(h.Comment)
		w.flag(h.EmptyLayer)
	}
	w.list(len(inv.Layers), inv.Layers == nil)
	for _, l := range inv.Layers {
		w.digest(l.Digest)
		w.digest(l.DiffID)
		w.integer(l.Size)
	}
	w.distribution(inv)
	w.packages(inv.Packages)
	w.list(len(inv.Applications), inv.Applications == nil)
	for i := range inv.Applications {
		a := &inv.Applications[i]
		w.text(a.Type)
		w.text(a.FilePath)
		w.packages(a.Packages)
	}
	w.seen(inv)
	w.archives(inv.Archives)
	w.beside(inv.Beside)
}

// archives are in the form since 2.
func (w *writer) archives(list []gate.JavaArchive) {
	w.list(len(list), len(list) == 0)
	for i := range list {
		a := &list[i]
		for _, text := range [...]string{a.File, a.Inside, a.SHA1, a.Group, a.Artifact, a.Version, a.By, string(a.Layer)} {
			w.text(text)
		}
		w.flag(a.Unnamed)
	}
}

func (r *reader) archives() []gate.JavaArchive {
	if r.form < 2 {
		return nil
	}
	return elements(r, 9, func(a *gate.JavaArchive) {
		for _, text := range [...]*string{&a.File, &a.Inside, &a.SHA1, &a.Group, &a.Artifact, &a.Version, &a.By, (*string)(&a.Layer)} {
			*text = r.text()
		}
		a.Unnamed = r.flag()
	})
}

func (w *writer) config(c *gate.ImageConfig) {
	w.text(c.User)
	w.text(c.WorkingDir)
	w.text(c.StopSignal)
	for _, list := range [...][]string{c.Entrypoint, c.Cmd, c.Env, c.ExposedPorts, c.Volumes} {
		w.textList(list)
	}
	w.list(len(c.Labels), c.Labels == nil)
	for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
		w.text(key)
		w.text(c.Labels[key])
	}
}

// distribution writes what is said of the distribution.
func (w *writer) distribution(inv *gate.Inventory) {
	w.text(inv.OS.Family)
	w.text(inv.OS.Name)
	w.text(inv.OS.Supplier)
	for _, flag := range [...]bool{inv.OS.Extended, inv.OS.EOL, inv.DistributionFiles, inv.PackageDatabase} {
		w.flag(flag)
	}
	w.text(inv.PackageRepository)
	d := inv.Distribution
	if w.flag(d != nil); d == nil {
		return
	}
	w.list(len(d.Files), d.Files == nil)
	for _, f := range d.Files {
		w.text(f.Path)
		w.text(f.Text)
		w.flag(f.Cut)
		w.text(f.Link)
	}
	w.list(len(d.Databases), d.Databases == nil)
	for _, b := range d.Databases {
		w.text(b.Manager)
		w.text(b.Path)
	}
}

// seen writes what was seen besides packages, and what was not.
func (w *writer) seen(inv *gate.Inventory) {
	w.list(len(inv.Secrets), inv.Secrets == nil)
	for i := range inv.Secrets {
		s := &inv.Secrets[i]
		for _, text := range [...]string{s.Rule, s.Category, s.Severity, s.Title, s.Path, string(s.Layer)} {
			w.text(text)
		}
		w.integer(int64(s.StartLine))
		w.integer(int64(s.EndLine))
		w.short(s.Platforms)
	}
	w.list(len(inv.Risks), inv.Risks == nil)
	for _, risk := range slices.Sorted(maps.Keys(inv.Risks)) {
		w.text(string(risk))
		w.text(string(inv.Risks[risk].Coverage))
		w.text(inv.Risks[risk].Reason)
	}
	w.list(len(inv.Errors), inv.Errors == nil)
	for _, e := range inv.Errors {
		for _, text := range [...]string{string(e.Risk), e.Kind, e.Analyzer, e.Path, e.Message} {
			w.text(text)
		}
	}
	w.list(len(inv.MoreErrors), len(inv.MoreErrors) == 0)
	for _, e := range inv.MoreErrors {
		w.text(string(e.Risk))
		w.text(e.Kind)
		w.integer(int64(e.Count))
	}
	w.list(len(inv.Skipped), inv.Skipped == nil)
	for _, s := range inv.Skipped {
		for _, text := range [...]string{string(s.Risk), s.Path, s.Reason, s.Pattern} {
			w.text(text)
		}
		w.integer(s.Size)
		w.integer(int64(s.Files))
	}
}

// short writes a list that JSON leaves out when it is empty.
func (w *writer) short(list []string) {
	if len(list) == 0 {
		list = nil
	}
	w.textList(list)
}

func (r *reader) inventory(inv *gate.Inventory) {
	inv.Format = r.small()
	inv.Digest = r.digest()
	inv.AnalyzerSet = r.text()
	inv.AnalyzedAt = r.time()
	inv.Isolation.Level = r.text()
	inv.Isolation.Missing = r.textList()
	inv.Platform = gate.Platform{OS: r.text(), Architecture: r.text(), Variant: r.text(), OSVersion: r.text()}
	inv.Created = r.time()
	inv.Size = r.integer()
	r.config(&inv.Config)
	inv.History = elements(r, 4, func(h *gate.History) {
		h.Created, h.CreatedBy, h.Comment, h.EmptyLayer = r.time(), r.text(), r.text(), r.flag()
	})
	inv.Layers = elements(r, 3, func(l *gate.Layer) { l.Digest, l.DiffID, l.Size = r.digest(), r.digest(), r.integer() })
	r.distribution(inv)
	inv.Packages = r.packages()
	inv.Applications = elements(r, 3, func(a *gate.Application) { a.Type, a.FilePath, a.Packages = r.text(), r.text(), r.packages() })
	r.seen(inv)
	inv.Archives = r.archives()
	inv.Beside = r.beside()
}

// elements reads a list whose elements take at least least bytes each.
func elements[T any](r *reader, least int, one func(*T)) []T {
	n, isNil := r.list(least)
	if isNil {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		if one(&list[i]); r.err != nil {
			return nil
		}
	}
	return list
}

func (r *reader) config(c *gate.ImageConfig) {
	c.User, c.WorkingDir, c.StopSignal = r.text(), r.text(), r.text()
	for _, list := range [...]*[]string{&c.Entrypoint, &c.Cmd, &c.Env, &c.ExposedPorts, &c.Volumes} {
		*list = r.textList()
	}
	n, isNil := r.list(2)
	if isNil {
		return
	}
	c.Labels = make(map[string]string, n)
	for range n {
		key := r.text()
		c.Labels[key] = r.text()
	}
}

func (r *reader) distribution(inv *gate.Inventory) {
	inv.OS.Family, inv.OS.Name, inv.OS.Supplier = r.text(), r.text(), r.text()
	for _, flag := range [...]*bool{&inv.OS.Extended, &inv.OS.EOL, &inv.DistributionFiles, &inv.PackageDatabase} {
		*flag = r.flag()
	}
	inv.PackageRepository = r.text()
	if !r.flag() {
		return
	}
	inv.Distribution = &gate.Distribution{
		Files: elements(r, 4, func(f *gate.ReleaseFile) { f.Path, f.Text, f.Cut, f.Link = r.text(), r.text(), r.flag(), r.text() }),
	}
	inv.Distribution.Databases = elements(r, 2, func(b *gate.PackageDatabase) { b.Manager, b.Path = r.text(), r.text() })
}

func (r *reader) seen(inv *gate.Inventory) {
	inv.Secrets = elements(r, 9, func(s *gate.Secret) {
		for _, text := range [...]*string{&s.Rule, &s.Category, &s.Severity, &s.Title, &s.Path, (*string)(&s.Layer)} {
			*text = r.text()
		}
		s.StartLine, s.EndLine, s.Platforms = r.small(), r.small(), r.textList()
	})
	if n, isNil := r.list(3); !isNil {
		inv.Risks = make(map[gate.Risk]gate.RiskStatus, n)
		for range n {
			risk := gate.Risk(r.text())
			inv.Risks[risk] = gate.RiskStatus{Coverage: gate.Coverage(r.text()), Reason: r.text()}
		}
	}
	inv.Errors = elements(r, 5, func(e *gate.AnalyzerError) {
		e.Risk, e.Kind, e.Analyzer, e.Path, e.Message = gate.Risk(r.text()), r.text(), r.text(), r.text(), r.text()
	})
	inv.MoreErrors = elements(r, 3, func(e *gate.ErrorCount) { e.Risk, e.Kind, e.Count = gate.Risk(r.text()), r.text(), r.small() })
	inv.Skipped = elements(r, 6, func(s *gate.Skip) {
		s.Risk, s.Path, s.Reason, s.Pattern = gate.Risk(r.text()), r.text(), r.text(), r.text()
		s.Size, s.Files = r.integer(), r.small()
	})
}
