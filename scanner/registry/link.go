package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// webLink is one link of a Link header (RFC 8288 3).
type webLink struct {
	target string
	rel    string // all relations, as sent
}

// relationPattern is what a relation may look like (RFC 8288 3.3): a registered
// word, or an address. Anything else may be a "next" that we do not recognise.
var relationPattern = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9.-]*|[A-Za-z][A-Za-z0-9+.-]*:\S+)$`)

// nextQuery is the query of the link to the next page, nil when there is none.
// Nothing else of the address is used: the next page is where this one was,
// whatever host or path the registry names. A link that is not understood is an
// error, because the list may continue there; the text is fit for a message.
func nextQuery(h http.Header) (url.Values, error) {
	var unclear error
	for _, line := range h.Values("Link") {
		links, err := parseLinks(line)
		if err != nil && unclear == nil {
			unclear = err
		}
		for _, l := range links {
			next, err := l.next()
			if next != nil {
				return next, nil
			}
			if err != nil && unclear == nil {
				unclear = err
			}
		}
	}
	return nil, unclear
}

// next is the query of the link, nil when it leads elsewhere than to a next page.
func (l webLink) next() (url.Values, error) {
	odd := fmt.Errorf("%s with the relation %s", gate.Quoted(l.target, 100), gate.Quoted(l.rel, 40))
	relations := strings.Fields(l.rel)
	if len(relations) == 0 {
		return nil, odd
	}
	for _, r := range relations {
		if !strings.EqualFold(r, "next") {
			if !relationPattern.MatchString(r) {
				return nil, odd
			}
			continue
		}
		u, err := url.Parse(l.target)
		if err != nil || len(u.RawQuery) > maxQueryBytes {
			return nil, odd
		}
		query, err := url.ParseQuery(u.RawQuery)
		if err != nil || len(query) == 0 {
			return nil, odd
		}
		return query, nil
	}
	return nil, nil
}

// parseLinks reads one Link header. Addresses without their brackets, which some
// registries have sent, end where the parameters begin. The links before an error
// are returned with it.
func parseLinks(line string) (links []webLink, err error) {
	p := &challengeParser{rest: line}
	for {
		p.skip(" \t,")
		if p.rest == "" {
			return links, nil
		}
		var l webLink
		var ok bool
		if strings.HasPrefix(p.rest, "<") {
			l.target, p.rest, ok = strings.Cut(p.rest[1:], ">")
		} else {
			l.target, p.rest, ok = strings.Cut(p.rest, ";")
			l.target, p.rest = strings.TrimSpace(l.target), ";"+p.rest
		}
		if !ok {
			return links, fmt.Errorf("%s, which is not a link", gate.Quoted(line, 100))
		}
		if l.rel, ok = p.relation(); !ok {
			return links, fmt.Errorf("%s, whose parameters are not valid", gate.Quoted(line, 100))
		}
		links = append(links, l)
	}
}

// relation reads the parameters of a link and returns the first "rel"; names have
// no case. ok is false when they cannot be read.
func (p *challengeParser) relation() (rel string, ok bool) {
	found := false
	for {
		p.skip(" \t")
		switch {
		case p.rest == "" || p.rest[0] == ',':
			return rel, true
		case p.rest[0] != ';':
			return "", false
		}
		p.skip(" \t;")
		name := p.token()
		p.skip(" \t")
		value := ""
		if strings.HasPrefix(p.rest, "=") {
			p.rest = p.rest[1:]
			p.skip(" \t")
			if value, ok = p.value(); !ok {
				return "", false
			}
		}
		if strings.EqualFold(name, "rel") && !found {
			rel, found = strings.Trim(value, "'"), true
		}
	}
}
