package feed

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// repomdData is an element of repomd.xml (createrepo's format).
type repomdData struct {
	Type     string `xml:"type,attr"`
	Location struct {
		Href string `xml:"href,attr"`
	} `xml:"location"`
	Checksum struct {
		Type string `xml:"type,attr"`
		Sum  string `xml:",chardata"`
	} `xml:"checksum"`
	Size int64 `xml:"size"`
}

// named is the updateinfo that a repomd.xml names. Its checksum is that of the compressed
// file, SHA-256; another one is refused, because a file that is not checked could be any.
func named(at string, text []byte) (wish, error) {
	d, err := updateinfoOf(text)
	if err != nil {
		return wish{}, fmt.Errorf("%s: %w: %w", withoutQuery(at), err, gate.ErrInvalid)
	}
	w := wish{sum: gate.Digest("sha256:" + strings.ToLower(strings.TrimSpace(d.Checksum.Sum))), size: d.Size}
	href := d.Location.Href
	switch {
	case d.Checksum.Type != "sha256" || !w.sum.Valid():
		err = fmt.Errorf("the updateinfo has a checksum of the type %s, want sha256", gate.Quoted(d.Checksum.Type, 40))
	case href == "" || path.IsAbs(href) || strings.Contains(href, "://") || strings.Contains(href, "..") || strings.ContainsAny(href, "?#\\"):
		err = fmt.Errorf("the updateinfo is located at %s, want a place in the repository", gate.Quoted(href, 200))
	case d.Size < 0 || d.Size > MaxBytes:
		err = fmt.Errorf("the updateinfo has %d bytes", d.Size)
	}
	if err != nil {
		return wish{}, fmt.Errorf("%s: %w: %w", withoutQuery(at), err, gate.ErrInvalid)
	}
	u, err := url.Parse(at)
	if err != nil {
		return wish{}, fmt.Errorf("%s: %w", withoutQuery(at), gate.ErrInvalid)
	}
	// Locations are relative to the repository, in which repodata/repomd.xml is.
	u.Path, u.RawPath = strings.TrimSuffix(strings.TrimSuffix(u.Path, "repomd.xml"), "repodata/")+href, ""
	w.url = u.String()
	return w, nil
}

// maxRepomdElements bounds what is looked at.
const maxRepomdElements = 1000

var errNoUpdateinfo = errors.New("it names no updateinfo: the repository has no advisories")

// updateinfoOf finds the element of the updateinfo. Go's decoder knows no external and no
// own entities: a document that declares some is an error where it uses them.
func updateinfoOf(text []byte) (repomdData, error) {
	dec := xml.NewDecoder(bytes.NewReader(text))
	for range maxRepomdElements {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return repomdData{}, errNoUpdateinfo
		}
		if err != nil {
			return repomdData{}, err
		}
		start, ok := t.(xml.StartElement)
		if !ok || start.Name.Local != "data" {
			continue
		}
		var d repomdData
		if err := dec.DecodeElement(&d, &start); err != nil {
			return repomdData{}, err
		}
		if d.Type == "updateinfo" {
			return d, nil
		}
	}
	return repomdData{}, errNoUpdateinfo
}
