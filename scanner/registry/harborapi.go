package registry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Harbor's REST API v2 (api/v2.0/swagger.yaml) lists what an account may see
// without administrator rights, which its OCI catalog does not, and gives the
// digest of each tag. It takes Basic authentication, and answers a caller
// without rights to the list 401 or 403.

// harborPage is the largest page that Harbor gives.
const harborPage = 100

// refusesAPI reports whether the API is closed to this account or not there.
func refusesAPI(err error) bool {
	return errors.Is(err, gate.ErrRegistryAuth) || errors.Is(err, gate.ErrNotFound)
}

// harborRepositories lists all repositories in one go or, where that is not
// permitted, project by project. The OCI catalog is the last resort, for what
// calls itself Harbor and has another API.
func (s *session) harborRepositories(ctx context.Context, n *names) error {
	err := s.harborList(ctx, "/api/v2.0/repositories", n)
	if err == nil || !refusesAPI(err) {
		return err
	}
	projects := newNames(MaxRepositories, validProject, validProject)
	for _, p := range s.cfg.Include {
		if first, _, ok := strings.Cut(p, "/"); ok && validProject(first) {
			projects.add(first)
		}
	}
	if len(projects.taken) == 0 {
		if refused := s.harborList(ctx, "/api/v2.0/projects", projects); refused != nil {
			if !refusesAPI(refused) {
				return refused
			}
			err := s.pages(ctx, &call{catalog: true}, "/v2/_catalog", "repositories", n)
			if err == nil || !refusesAPI(err) {
				return err
			}
			return fmt.Errorf("the account may not list: give the robot the permission to list repositories: %w", refused)
		}
	}
	n.full = n.full || projects.full
	for _, p := range projects.sorted() {
		if err := s.harborList(ctx, "/api/v2.0/projects/"+p+"/repositories", n); err != nil && !errors.Is(err, gate.ErrNotFound) {
			return err
		}
	}
	return nil
}

func validProject(name string) bool {
	return !strings.Contains(name, "/") && len(name) <= maxRepositoryBytes && repositoryPattern.MatchString(name)
}

// harborList reads the names of a list of projects or repositories.
func (s *session) harborList(ctx context.Context, path string, n *names) error {
	for page := 1; page <= maxPages; page++ {
		var list []struct {
			Name string `json:"name"`
		}
		if err := s.harborGet(ctx, path, page, nil, &list); err != nil {
			return err
		}
		fresh := false
		for _, item := range list {
			fresh = n.add(item.Name) || fresh
		}
		if len(list) < harborPage || n.full {
			return nil
		}
		if !fresh {
			break
		}
	}
	n.full = true
	return nil
}

// harborTags lists the tags of a repository with their digests.
func (s *session) harborTags(ctx context.Context, repo string) (gate.TagList, error) {
	project, rest, ok := strings.Cut(repo, "/")
	if !ok {
		return gate.TagList{}, fmt.Errorf("%q is in no project: %w", repo, gate.ErrNotFound)
	}
	// The name within the project is encoded twice (swagger.yaml, repository_name).
	path := "/api/v2.0/projects/" + project + "/repositories/" + url.PathEscape(rest) + "/artifacts"
	digests := map[string]gate.Digest{}
	n := newNames(MaxTags, gate.ValidTag, gate.ValidTag)
	extra := url.Values{"with_tag": {"true"}}
	for page := 1; ; page++ {
		var list []struct {
			Digest gate.Digest `json:"digest"`
			Tags   []struct {
				Name string `json:"name"`
			} `json:"tags"`
		}
		if err := s.harborGet(ctx, path, page, extra, &list); err != nil {
			return gate.TagList{}, err
		}
		fresh := false
		for _, a := range list {
			fresh = fresh || len(a.Tags) == 0 // an untagged artifact is progress too
			for _, t := range a.Tags {
				if n.add(t.Name) {
					fresh = true
					if a.Digest.Valid() {
						digests[t.Name] = a.Digest
					}
				}
			}
		}
		if len(list) < harborPage || n.full {
			break
		}
		if !fresh || page >= maxPages {
			n.full = true
			break
		}
	}
	out := gate.TagList{Complete: !n.full, Note: n.note("tags")}
	for _, tag := range n.sorted() {
		out.Tags = append(out.Tags, gate.ListedTag{Tag: tag, Digest: digests[tag]})
	}
	return out, nil
}

// harborGet reads one page of the API. path is decoded once.
func (s *session) harborGet(ctx context.Context, path string, page int, extra url.Values, out any) error {
	q := url.Values{"page": {strconv.Itoa(page)}, "page_size": {strconv.Itoa(harborPage)}}
	for k, v := range extra {
		q[k] = slices.Clone(v)
	}
	_, err := s.readJSON(ctx, &call{basic: true}, &url.URL{Path: path, RawQuery: q.Encode()}, out)
	return err
}
