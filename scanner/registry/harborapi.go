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

// harborRepositories lists project by project what the list of all repositories
// leaves out: a robot account, and whoever is no administrator otherwise, is
// given those of public projects there, with 200 (src/server/v2.0/handler/repository.go,
// listAuthorizedProjectIDs). The list of projects has all that the account is
// for (project.go, ListProjects). A project is in the first list whole or not
// at all. Where include begins with projects, only these are asked. The OCI
// catalog is the last resort, for what calls itself Harbor and has another API.
// note says what could not be listed.
func (s *session) harborRepositories(ctx context.Context, n *names) (note string, err error) {
	projects, answered := includedProjects(s.cfg.Include), false
	if len(projects) == 0 {
		if projects, answered, err = s.harborProjects(ctx, n); err != nil {
			return "", err
		}
	}
	var denied []string
	var refused error
	for _, p := range projects {
		err := s.harborList(ctx, "/api/v2.0/projects/"+p+"/repositories", n)
		switch {
		case err == nil:
			answered = true
		case !refusesAPI(err):
			return "", err
		default:
			refused, denied = err, append(denied, p)
		}
	}
	if !answered {
		err := s.pages(ctx, &call{catalog: true}, "/v2/_catalog", "repositories", n)
		if err == nil || !refusesAPI(err) {
			return "", err
		}
		if refused == nil {
			refused = err
		}
		return "", fmt.Errorf("the account may not list: give the robot the permission to list repositories: %w", refused)
	}
	if len(denied) > 0 {
		note = fmt.Sprintf("project %s cannot be listed: give the account the permission to list its repositories, or take it out of include",
			gate.Printable(strings.Join(denied, ", "), 200))
	}
	return note, nil
}

// harborProjects reads the list of all repositories and returns the projects
// of which it has none. answered is false when nothing at all may be listed.
func (s *session) harborProjects(ctx context.Context, n *names) (rest []string, answered bool, err error) {
	err = s.harborList(ctx, "/api/v2.0/repositories", n)
	if err != nil && !refusesAPI(err) {
		return nil, false, err
	}
	if answered = err == nil; n.full {
		return nil, answered, nil
	}
	projects := newNames(MaxRepositories, validProject, validProject)
	err = s.harborList(ctx, "/api/v2.0/projects", projects)
	if err != nil && !refusesAPI(err) {
		return nil, false, err
	}
	n.full = n.full || projects.full
	whole, configured := map[string]bool{}, s.configured()
	for name := range n.seen {
		if !slices.Contains(configured, name) { // those nobody has listed
			project, _, _ := strings.Cut(name, "/")
			whole[project] = true
		}
	}
	for _, p := range projects.sorted() {
		if !whole[p] {
			rest = append(rest, p)
		}
	}
	return rest, answered || err == nil, nil
}

// includedProjects are the projects that all patterns of include begin with,
// none when one of them may match in any project.
func includedProjects(include []string) (projects []string) {
	for _, p := range include {
		first, _, ok := strings.Cut(p, "/")
		if !ok || !validProject(first) {
			return nil
		}
		if !slices.Contains(projects, first) {
			projects = append(projects, first)
		}
	}
	return projects
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
