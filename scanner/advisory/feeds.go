package advisory

import (
	"bytes"
	"slices"

	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/csaf"
	"github.com/digestgate/digestgate/scanner/advisory/format/osv"
	"github.com/digestgate/digestgate/scanner/advisory/format/release"
	"github.com/digestgate/digestgate/scanner/advisory/format/ubuntu"
)

// parseCSAF reads one document of CSAF 2.0.
func (c *collection) parseCSAF(name string, doc document) error {
	return c.vendorFile(name, kindCSAF).read(func(sink format.Sink) error {
		return csaf.Read(bytes.NewReader(doc.data), format.Limits{Bytes: maxSourceBytes}, sink)
	})
}

// parseUbuntu reads what Ubuntu's security team publishes; done is false for a document
// that is something else.
func (c *collection) parseUbuntu(name string, doc document, has func(string) bool) (done bool, err error) {
	f := ubuntu.Recognise(has)
	if f == ubuntu.None || doc.yaml {
		return false, nil
	}
	return true, c.vendorFile(name, kindUbuntu).read(func(sink format.Sink) error { return ubuntu.Read(doc.data, f, sink) })
}

// parseOwnOSV reads an entry of OSV that is about a distribution of digestgate's own
// detector, and about nothing else; done is false for another one.
func (c *collection) parseOwnOSV(name string, data []byte) (done bool, err error) {
	own := func(ecosystem string) bool {
		t, ok := release.Of(format.Release{ecosystem})
		return ok && t.Own()
	}
	ecosystems := osv.Ecosystems(data)
	if !slices.ContainsFunc(ecosystems, own) {
		return false, nil
	}
	others := slices.ContainsFunc(ecosystems, func(e string) bool { return !own(e) })
	return !others, c.vendorFile(name, kindOSV).read(func(sink format.Sink) error { return osv.Read(data, own, c.ages.now, sink) })
}
