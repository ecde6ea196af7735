// Package updateinfo reads the updateinfo.xml of RPM repositories: what dnf and yum show
// with "updateinfo". It names binary packages, and source packages where a package has the
// attribute src. It lists fixes only: a flaw without a fix is not in it.
package updateinfo

import (
	"io"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// Root is the name of the document's element.
const Root = "updates"

// Read reads a file that is not packed. The packages of an update that fixes no
// vulnerability are not looked at. Errors: gate.ErrInvalid, gate.ErrTooLarge, and those of
// the sink.
func Read(r io.Reader, l format.Limits, sink format.Sink) error {
	x := format.NewXML(r, l)
	root, err := x.Root()
	if err != nil {
		return err
	}
	if root.Name != Root {
		return x.Errorf("the document is <%s>, want <updates>", root.Name)
	}
	p := &parser{x: x, limits: l.Or(), sink: sink}
	err = x.Each(func(e format.Element) error {
		if e.Name != "update" {
			return nil
		}
		if err := x.Count(&p.updates, p.limits.Entries, "updates"); err != nil {
			return err
		}
		err := p.update(e)
		x.Free() // the sink has it
		return err
	})
	if err != nil {
		return err
	}
	return x.End()
}

// partBytes is what a statement needs in memory besides its texts; there may be one of the
// source too.
const partBytes = 320

type parser struct {
	x              *format.XML
	limits         format.Limits
	sink           format.Sink
	updates, parts int
}

// update is one advisory while it is read.
type update struct {
	id, kind, status             string
	title, summary, description  string
	severity, release, published string
	modified                     string
	references                   []string
	cves                         []string
	statements                   []format.Statement
	gaps                         []format.Gap
	sources                      map[string]bool // packages, by what a statement says of them
	at                           string
}

func (p *parser) update(e format.Element) error {
	u := update{kind: strings.ToLower(e.Attr("type")), status: strings.ToLower(e.Attr("status")), at: p.x.Line()}
	err := p.x.Each(func(e format.Element) error {
		var err error
		switch e.Name {
		case "id":
			u.id, err = p.x.Text()
		case "title":
			u.title, err = p.x.Text()
		case "summary":
			u.summary, err = p.x.Text()
		case "description":
			u.description, err = p.x.Text()
		case "severity":
			u.severity, err = p.x.Text()
		case "release":
			u.release, err = p.x.Text()
		case "issued":
			u.published, err = p.date(e)
		case "updated":
			u.modified, err = p.date(e)
		case "references":
			err = p.references(&u)
		case "pkglist":
			err = p.packages(&u)
		}
		return err
	})
	if err != nil {
		return err
	}
	return p.hand(u)
}

// date is in the attribute date; some generators write it as text.
func (p *parser) date(e format.Element) (string, error) {
	if d := e.Attr("date"); d != "" {
		return d, nil
	}
	return p.x.Text()
}

func (p *parser) references(u *update) error {
	return p.x.Each(func(e format.Element) error {
		if e.Name != "reference" {
			return nil
		}
		if err := p.x.Count(&p.parts, p.limits.Parts, "references and packages"); err != nil {
			return err
		}
		href, kind := e.Attr("href"), strings.ToLower(e.Attr("type"))
		if kind == "cve" {
			// Some give the CVE as the title, or only in the address.
			u.cves = append(u.cves, format.CVEs(e.Attr("id"), e.Attr("title"), href)...)
		}
		p.x.Hold(len(href) + 128)
		if href != "" && len(u.references) < 100 {
			u.references = append(u.references, href)
		}
		return nil
	})
}

func (p *parser) packages(u *update) error {
	return p.x.Each(func(e format.Element) error {
		if e.Name != "collection" {
			return nil
		}
		module := ""
		return p.x.Each(func(e format.Element) error {
			switch e.Name {
			case "module":
				if name, stream := e.Attr("name"), e.Attr("stream"); name != "" && stream != "" {
					module = name + ":" + stream
				}
			case "package":
				if err := p.x.Count(&p.parts, p.limits.Parts, "references and packages"); err != nil {
					return err
				}
				p.x.Hold(2*partBytes + len(e.Attr("name")) + len(e.Attr("version")) + len(e.Attr("release")) + 2*len(e.Attr("src")))
				p.pkg(u, e, module)
			}
			return nil
		})
	})
}

// pkg notes a package, or that it cannot be understood.
func (p *parser) pkg(u *update, e format.Element, module string) {
	epoch, hasEpoch := e.Lookup("epoch")
	if epoch == "(none)" {
		epoch = "0"
	}
	name, arch := e.Attr("name"), e.Attr("arch")
	text := e.Attr("version") + "-" + e.Attr("release")
	if hasEpoch && epoch != "" {
		text = epoch + ":" + text
	}
	v, err := format.ParseEVR(text)
	switch {
	case err != nil:
		u.gaps = append(u.gaps, format.Gap{What: "package " + name, At: p.x.Line(), Why: err.Error()})
		return
	case !format.RPMName(name):
		u.gaps = append(u.gaps, format.Gap{What: "package", At: p.x.Line(), Why: "it has no name that a package can have"})
		return
	}
	s := format.Statement{
		Package: name, Module: module, Arch: arch, State: format.Fixed, Version: v.String(), NoEpoch: !hasEpoch || epoch == "",
	}
	if arch == "src" || arch == "nosrc" {
		s.Names, s.Arch = format.Source, ""
	}
	u.statements = append(u.statements, s)
	// The source package fixes the binary packages that a collection leaves out.
	if src, err := format.ParseNVRA(e.Attr("src")); err == nil && src.Source() {
		s := format.Statement{
			Names: format.Source, Package: src.Name, Module: module, State: format.Fixed, Version: src.EVR.String(), NoEpoch: src.EVR.Epoch == "",
		}
		key := s.Package + "\x00" + s.Module + "\x00" + s.Version
		if !u.sources[key] {
			if u.sources == nil {
				u.sources = map[string]bool{}
			}
			u.sources[key] = true
			u.statements = append(u.statements, s)
		}
	}
}

// hand yields the update if it fixes a vulnerability.
func (p *parser) hand(u update) error {
	slices.Sort(u.cves)
	cves := slices.Compact(u.cves)
	if len(cves) == 0 {
		cves = format.CVEs(u.title, u.summary, u.description)
	}
	switch {
	case u.status == "testing" || u.status == "pending":
		p.sink.Skip("updates that are not published yet")
		return nil
	case u.kind != "security" && len(cves) == 0:
		p.sink.Skip("updates that fix no vulnerability")
		return nil
	}
	release := format.Release(slices.DeleteFunc([]string{u.title, u.description, u.release}, func(s string) bool { return s == "" }))
	for _, g := range u.gaps {
		g.Of, g.Release = u.id, release
		p.sink.Gap(g)
	}
	if !format.ID(u.id) {
		p.sink.Gap(format.Gap{What: "update", At: u.at, Why: "its id is missing or cannot be one", Release: release})
		return nil
	}
	if len(u.statements) == 0 {
		if len(u.gaps) == 0 {
			p.sink.Gap(format.Gap{What: "update", Of: u.id, At: u.at, Why: "it lists no packages", Release: release})
		}
		return nil
	}
	if len(cves) == 0 {
		cves = []string{u.id}
	}
	entry := format.Entry{
		Advisory: u.id, Statements: u.statements, References: u.references, At: u.at,
		PublishedAt: format.Time(u.published), ModifiedAt: format.Time(u.modified),
	}
	for i := range entry.Statements {
		entry.Statements[i].Release = release
	}
	for _, id := range cves {
		entry.Vulnerabilities = append(entry.Vulnerabilities, format.Vulnerability{
			ID: id, Severity: u.severity, Title: u.title, Description: u.description, PublishedAt: entry.PublishedAt,
		})
	}
	return p.sink.Entry(entry)
}
