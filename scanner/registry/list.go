package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"

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
	s, ok := c.named(registry)
	if !ok {
		return gate.RepositoryList{}, fmt.Errorf("listing the repositories of %s: %w", gate.Quoted(registry, 80), gate.ErrRegistryNotTrusted)
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
		return gate.TagList{}, fmt.Errorf("listing the tags of %s: %w", gate.Quoted(loc.String(), 300), err)
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

// unsized are the lists for which no page size is asked for any more, because the
// registry refused the one that was.
type unsized struct{ repositories, tags atomic.Bool }

// of is the flag of a list, by its key in the answer.
func (u *unsized) of(key string) *atomic.Bool {
	if key == "tags" {
		return &u.tags
	}
	return &u.repositories
}

// pages reads a list of the distribution specification page by page ("Listing
// Tags"; the catalog is Distribution's, in the same form). A page size that the
// registry answers with 400 is left out from then on: Distribution 3 refuses one
// over its catalog.maxentries (registry/handlers/catalog.go), and gives pages of
// its own size without.
func (s *session) pages(ctx context.Context, c *call, path, key string, n *names) error {
	query, refused := url.Values{"n": {strconv.Itoa(pageSize)}}, s.unsized.of(key)
	if refused.Load() {
		query.Del("n")
	}
	for page, barren := 0, 0; ; page++ {
		list, next, err := s.page(ctx, c, &url.URL{Path: path, RawQuery: query.Encode()}, key)
		var answer *answerError
		if query.Has("n") && errors.As(err, &answer) && answer.status == http.StatusBadRequest {
			query.Del("n")
			list, next, err = s.page(ctx, c, &url.URL{Path: path, RawQuery: query.Encode()}, key)
			if err == nil {
				refused.Store(true)
			}
		}
		var unclear *linkError
		if err != nil && !errors.As(err, &unclear) {
			return err
		}
		fresh := false
		for _, name := range list {
			fresh = n.add(name) || fresh
		}
		if barren++; fresh {
			barren = 0
		}
		switch {
		case n.full:
			return nil
		case unclear != nil:
			n.stop("the registry's link to a next page is not understood: %s", unclear.link)
			return nil
		case next == nil:
			return nil
		case barren > 1 || next.Encode() == query.Encode():
			n.stop("the registry's next pages bring nothing new")
			return nil
		case page >= maxPages:
			n.stop("it has more than %d pages", maxPages)
			return nil
		}
		query = next
	}
}

// linkError says that the link to a next page is not understood; the page itself is.
type linkError struct{ link error }

func (e *linkError) Error() string {
	return "the link to the next page is not understood: " + e.link.Error()
}

// page reads one page and the query of the next one, nil when it is the last.
func (s *session) page(ctx context.Context, c *call, to *url.URL, key string) (list []string, next url.Values, err error) {
	var body map[string]json.RawMessage
	header, err := s.readJSON(ctx, c, to, &body)
	if err != nil {
		return nil, nil, err
	}
	if raw := body[key]; raw != nil && json.Unmarshal(raw, &list) != nil { // null is an empty list
		return nil, nil, fmt.Errorf("the registry answered %q without a list of names: %w", to.Path, gate.ErrRegistryUnavailable)
	}
	next, err = nextQuery(header)
	if err != nil {
		return list, nil, &linkError{err}
	}
	return list, next, nil
}

// readJSON fetches a small JSON document and returns the header of the answer.
func (s *session) readJSON(ctx context.Context, c *call, to *url.URL, out any) (header http.Header, err error) {
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
			return fmt.Errorf("a page of %s is over %d bytes: %w", gate.Quoted(to.Path, 100), maxPageBytes, gate.ErrTooLarge)
		}
		if json.Unmarshal(b, out) != nil {
			return fmt.Errorf("the registry answered %s with something else than JSON: %w", gate.Quoted(to.Path, 100), gate.ErrRegistryUnavailable)
		}
		header = res.Header
		return nil
	})
	return header, err
}
