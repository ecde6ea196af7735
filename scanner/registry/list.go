package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Limits on lists. What is over them is cut and said (Complete is false), so
// that a registry which never stops costs a bounded amount.
const (
	// MaxRepositories bounds the repositories of one registry.
	MaxRepositories = 100_000
	// MaxTags bounds the tags of one repository.
	MaxTags = 100_000
	// pageSize is what is asked for; registries may give less (ECR and GitLab
	// at most 1,000 and 100) or everything at once (Distribution before v3).
	pageSize = 1000
	// maxPageBytes bounds one page: 100,000 names of 160 bytes.
	maxPageBytes = 16 << 20
	// maxPages bounds the requests for one list.
	maxPages = 5000
	// maxQueryBytes bounds the query that a Link header asks us to send.
	maxQueryBytes = 8 << 10
)

// Repositories lists the repositories of a registry, sorted: from Harbor's own
// API, from the OCI catalog, or, where the product has no catalog, the
// patterns of include that have no wildcard. Only names that include and
// exclude take are among them. Complete says that the list is whole. Errors:
// gate.ErrRegistryNotTrusted, gate.ErrRegistryAuth, gate.ErrRegistryUnavailable
// (perhaps in a gate.RetryAfterError), gate.ErrNotFound and gate.ErrTimeout.
func (c *Client) Repositories(ctx context.Context, registry string) (gate.RepositoryList, error) {
	s, ok := c.sessions[registry]
	if !ok {
		return gate.RepositoryList{}, fmt.Errorf("listing the repositories of %q: %w", gate.Printable(registry, 80), gate.ErrRegistryNotTrusted)
	}
	list, err := s.repositories(ctx, MaxRepositories)
	if err != nil {
		return gate.RepositoryList{}, fmt.Errorf("listing the repositories of %q: %w", registry, err)
	}
	return list, nil
}

// Tags lists the tags of a repository, sorted, with their digests where the
// registry says them in the list (Harbor). Errors: those of Repositories;
// gate.ErrNotFound when there is no such repository.
func (c *Client) Tags(ctx context.Context, loc gate.Location) (gate.TagList, error) {
	s, err := c.session(loc)
	var list gate.TagList
	if err == nil {
		list, err = s.tags(ctx, loc.Repository)
	}
	if err != nil {
		return gate.TagList{}, fmt.Errorf("listing the tags of %q: %w", gate.Printable(loc.String(), 300), err)
	}
	return list, nil
}

// withoutCatalog are the types whose service has no list of repositories in
// the OCI protocol, or one that an ordinary account may not read.
func withoutCatalog(kind string) bool {
	return slices.Contains([]string{"jfrog", "swr", "tcr", "acr", "ecr", "gar", "ghcr", "dockerhub", "gitlab"}, kind)
}

// repositories lists at most limit names.
func (s *session) repositories(ctx context.Context, limit int) (gate.RepositoryList, error) {
	n := newNames(limit, func(name string) bool {
		return len(name) <= maxRepositoryBytes && repositoryPattern.MatchString(name) && s.registry.Takes(name)
	}, func(name string) bool { return len(name) <= maxRepositoryBytes && repositoryPattern.MatchString(name) })
	configured := s.configured()
	for _, name := range configured {
		n.add(name)
	}
	note := ""
	var err error
	switch {
	case withoutCatalog(s.cfg.Type) || len(configured) > 0 && len(configured) == len(s.cfg.Include):
		if len(configured) < len(s.cfg.Include) || len(configured) == 0 {
			note = fmt.Sprintf("a registry of type %s lists no repositories: name them in include, without wildcards", s.cfg.Type)
		}
	case s.cfg.Type == "harbor":
		note, err = s.harborRepositories(ctx, n)
	default:
		err = s.pages(ctx, &call{catalog: true}, "/v2/_catalog", "repositories", n)
	}
	if err != nil {
		return gate.RepositoryList{}, err
	}
	list := gate.RepositoryList{Names: n.sorted(), Complete: note == "" && !n.full, Note: note}
	list.Note = joinNotes(list.Note, n.note("repositories"))
	return list, nil
}

// configured are the patterns of include that name one repository.
func (s *session) configured() []string {
	var out []string
	for _, p := range s.cfg.Include {
		if repositoryPattern.MatchString(p) && len(p) <= maxRepositoryBytes {
			out = append(out, p)
		}
	}
	return out
}

// tags lists the tags of a repository.
func (s *session) tags(ctx context.Context, repo string) (gate.TagList, error) {
	if s.cfg.Type == "harbor" {
		list, err := s.harborTags(ctx, repo)
		if err == nil || !refusesAPI(err) {
			return list, err
		}
		// An account that may only pull still has the list of the protocol.
	}
	n := newNames(MaxTags, gate.ValidTag, gate.ValidTag)
	if err := s.pages(ctx, &call{repo: repo}, "/v2/"+repo+"/tags/list", "tags", n); err != nil {
		return gate.TagList{}, err
	}
	list := gate.TagList{Complete: !n.full, Note: n.note("tags")}
	for _, tag := range n.sorted() {
		list.Tags = append(list.Tags, gate.ListedTag{Tag: tag})
	}
	return list, nil
}

// names collects the names of a list.
type names struct {
	limit       int
	take, valid func(string) bool
	seen        map[string]bool
	taken       []string
	full        bool
	wrong       int // not names at all, never put into an address
}

func newNames(limit int, take, valid func(string) bool) *names {
	return &names{limit: limit, take: take, valid: valid, seen: map[string]bool{}}
}

// add reports whether the name was new.
func (n *names) add(name string) bool {
	if !n.valid(name) {
		n.wrong++
		return false
	}
	if n.seen[name] {
		return false
	}
	if len(n.seen) >= n.limit {
		n.full = true
		return false
	}
	n.seen[name] = true
	if n.take(name) {
		n.taken = append(n.taken, name)
	}
	return true
}

func (n *names) sorted() []string {
	slices.Sort(n.taken)
	return n.taken
}

func (n *names) note(what string) string {
	note := ""
	if n.full {
		note = fmt.Sprintf("only the first %d %s are looked at", n.limit, what)
	}
	if n.wrong > 0 {
		note = joinNotes(note, fmt.Sprintf("%d names that are none are left out", n.wrong))
	}
	return note
}

func joinNotes(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(s string) bool { return s == "" }), "; ")
}

// pages reads a list of the distribution specification page by page ("Listing
// Tags"; the catalog is Distribution's, in the same form).
func (s *session) pages(ctx context.Context, c *call, path, key string, n *names) error {
	query := url.Values{"n": {strconv.Itoa(pageSize)}}.Encode()
	for page, barren := 0, 0; ; page++ {
		var body map[string]json.RawMessage
		link, err := s.readJSON(ctx, c, &url.URL{Path: path, RawQuery: query}, &body)
		if err != nil {
			return err
		}
		var list []string
		if raw := body[key]; raw != nil && json.Unmarshal(raw, &list) != nil { // null is an empty list
			return fmt.Errorf("the registry answered %q without a list of names: %w", path, gate.ErrRegistryUnavailable)
		}
		fresh := false
		for _, name := range list {
			fresh = n.add(name) || fresh
		}
		if barren++; fresh {
			barren = 0
		}
		switch {
		case link == "" || n.full:
			return nil
		case barren > 1 || link == query || page >= maxPages:
			n.full = true
			return nil
		}
		query = link
	}
}

// readJSON fetches a small JSON document and returns the query of the next
// page, "" when there is none.
func (s *session) readJSON(ctx context.Context, c *call, to *url.URL, out any) (next string, err error) {
	err = s.retry(ctx, func() error {
		ctx, cancel := context.WithTimeoutCause(ctx, s.wait.small, errSlow)
		defer cancel()
		res, err := s.sendTo(ctx, c, http.MethodGet, to, http.Header{"Accept": {"application/json"}}, http.StatusOK)
		if err != nil {
			return err
		}
		defer closeBody(res)
		b, err := io.ReadAll(io.LimitReader(res.Body, maxPageBytes+1))
		if err != nil {
			return err
		}
		if len(b) > maxPageBytes {
			return fmt.Errorf("a page of %q is over %d bytes: %w", gate.Printable(to.Path, 100), maxPageBytes, gate.ErrTooLarge)
		}
		if json.Unmarshal(b, out) != nil {
			return fmt.Errorf("the registry answered %q with something else than JSON: %w", gate.Printable(to.Path, 100), gate.ErrRegistryUnavailable)
		}
		next = nextQuery(res.Header)
		return nil
	})
	return next, err
}

// nextLink finds the target of a link with the relation "next" (RFC 8288).
var nextLink = regexp.MustCompile(`<([^<>]*)>[^<>]*;\s*rel="?next"?`)

// nextQuery is the query of the link to the next page. Nothing else of the
// address is used: the next page lies where this one does, whatever host or
// path the registry names.
func nextQuery(h http.Header) string {
	for _, line := range h.Values("Link") {
		m := nextLink.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		u, err := url.Parse(m[1])
		if err == nil && len(u.RawQuery) <= maxQueryBytes {
			return u.Query().Encode()
		}
	}
	return ""
}
