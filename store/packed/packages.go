package packed

import "github.com/digestgate/digestgate/gate"

// packageTexts are the fields that are texts, as [vulnerabilityTexts].
func packageTexts(p *gate.Package) [14]*string {
	return [...]*string{
		&p.ID, &p.Name, &p.Version, &p.Release, &p.Arch, &p.SrcName, &p.SrcVersion, &p.SrcRelease,
		&p.ModularityLabel, &p.PURL, &p.UID, &p.FilePath, (*string)(&p.Layer), &p.Relationship,
	}
}

// The bits after those of the texts.
const (
	hasAnalyzedBy = iota + 14
	hasEpoch
	hasSrcEpoch
	isDev
	isIndirect
	hasBuildInfo
	hasRepository
	hasLicenses
	packageBits
)

func (w *writer) packages(list []gate.Package) {
	w.list(len(list), list == nil)
	for i := range list {
		w.pkg(&list[i])
	}
}

func (w *writer) pkg(p *gate.Package) {
	texts := packageTexts(p)
	bits := bit(p.AnalyzedBy != "", hasAnalyzedBy) | bit(p.Epoch != 0, hasEpoch) | bit(p.SrcEpoch != 0, hasSrcEpoch) |
		bit(p.Dev, isDev) | bit(p.Indirect, isIndirect) | bit(p.BuildInfo != nil, hasBuildInfo) |
		bit(p.Repository != nil, hasRepository) | bit(len(p.Licenses) > 0, hasLicenses)
	for i, s := range texts {
		bits |= bit(*s != "", i)
	}
	w.number(bits)
	for _, s := range texts {
		if *s != "" {
			w.text(*s)
		}
	}
	if p.AnalyzedBy != "" {
		w.text(p.AnalyzedBy)
	}
	if p.Epoch != 0 {
		w.integer(int64(p.Epoch))
	}
	if p.SrcEpoch != 0 {
		w.integer(int64(p.SrcEpoch))
	}
	if b := p.BuildInfo; b != nil {
		w.short(b.ContentSets)
		w.text(b.Nvr)
		w.text(b.Arch)
	}
	if o := p.Repository; o != nil {
		w.text(o.Class)
		w.text(o.Name)
	}
	if len(p.Licenses) > 0 {
		w.textList(p.Licenses)
	}
}

func (r *reader) packages() []gate.Package { return elements(r, leastEach, r.pkg) }

func (r *reader) pkg(p *gate.Package) {
	bits := r.number()
	if bits>>packageBits != 0 {
		r.damaged("a package has the bits %x", bits)
		return
	}
	for i, s := range packageTexts(p) {
		if bits>>i&1 == 1 {
			*s = r.text()
		}
	}
	if bits>>hasAnalyzedBy&1 == 1 {
		p.AnalyzedBy = r.text()
	}
	if bits>>hasEpoch&1 == 1 {
		p.Epoch = r.small()
	}
	if bits>>hasSrcEpoch&1 == 1 {
		p.SrcEpoch = r.small()
	}
	p.Dev, p.Indirect = bits>>isDev&1 == 1, bits>>isIndirect&1 == 1
	if bits>>hasBuildInfo&1 == 1 {
		p.BuildInfo = &gate.BuildInfo{ContentSets: r.textList(), Nvr: r.text(), Arch: r.text()}
	}
	if bits>>hasRepository&1 == 1 {
		p.Repository = &gate.PackageOrigin{Class: r.text(), Name: r.text()}
	}
	if bits>>hasLicenses&1 == 1 {
		p.Licenses = r.textList()
	}
}
