package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// list serves the lists of repositories and tags, which the registry inside
// serves without a link to the next page, and Harbor's API if wanted. ok is
// false for every other request.
func (r *Registry) list(req *http.Request) (serve http.HandlerFunc, ok bool) {
	repo, isTags := strings.CutSuffix(strings.TrimPrefix(req.URL.Path, "/v2/"), "/tags/list")
	switch {
	case req.Method != http.MethodGet:
		return nil, false
	case req.URL.Path == "/v2/_catalog":
		return func(w http.ResponseWriter, req *http.Request) {
			if r.options.NoCatalog {
				refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
				return
			}
			r.page(w, req, "repositories", r.repositories())
		}, true
	case isTags:
		return func(w http.ResponseWriter, req *http.Request) {
			tags, ok := r.tags(repo)
			if !ok {
				refuse(w, http.StatusNotFound, "NAME_UNKNOWN")
				return
			}
			r.page(w, req, "tags", tags)
		}, true
	case r.options.Harbor && strings.HasPrefix(req.URL.Path, "/api/v2.0/"):
		return r.serveHarbor, true
	}
	return nil, false
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q}]}`, code)
}

// ask reads a list of the registry inside.
func (r *Registry) ask(path string, out any) bool {
	req, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return false
	}
	a := answer{status: http.StatusOK, header: http.Header{}}
	r.inner.ServeHTTP(&a, req)
	return a.status == http.StatusOK && json.Unmarshal(a.body.Bytes(), out) == nil
}

func (r *Registry) repositories() []string {
	var list struct{ Repositories []string }
	r.ask("/v2/_catalog?n=1000000", &list)
	list.Repositories = slices.DeleteFunc(list.Repositories, func(repo string) bool {
		_, ok := r.tags(repo)
		return !ok
	})
	slices.Sort(list.Repositories)
	return list.Repositories
}

// tags are those of a repository; digests are none.
func (r *Registry) tags(repo string) ([]string, bool) {
	var list struct{ Tags []string }
	ok := r.ask("/v2/"+repo+"/tags/list?n=1000000", &list)
	list.Tags = slices.DeleteFunc(list.Tags, func(t string) bool { return strings.HasPrefix(t, "sha256:") })
	slices.Sort(list.Tags)
	return list.Tags, ok && len(list.Tags) > 0
}

// page answers one page as the distribution specification has it: n and last
// in the query, the next page in a Link header with a relative address.
func (r *Registry) page(w http.ResponseWriter, req *http.Request, key string, all []string) {
	q := req.URL.Query()
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 1 {
		n = len(all)
	}
	if r.options.PageSize > 0 {
		n = min(n, r.options.PageSize)
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name <= q.Get("last") })
	page := rest[:min(n, len(rest))]
	if len(page) < len(rest) {
		next := url.Values{"n": {strconv.Itoa(n)}, "last": {page[len(page)-1]}}
		w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, req.URL.Path, next.Encode()))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{key: page})
}

// serveHarbor is the part of Harbor's REST API that lists
// (goharbor/harbor, api/v2.0/swagger.yaml).
func (r *Registry) serveHarbor(w http.ResponseWriter, req *http.Request) {
	if r.options.Username != "" && !r.knows(req) {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	rest := strings.TrimPrefix(req.URL.EscapedPath(), "/api/v2.0/")
	parts := strings.Split(rest, "/")
	var items []any
	switch {
	case rest == "repositories" && !r.options.HarborProjectsOnly:
		for _, name := range r.repositories() {
			if project, _, _ := strings.Cut(name, "/"); r.options.HarborPublic == nil || slices.Contains(r.options.HarborPublic, project) {
				items = append(items, map[string]any{"name": name})
			}
		}
	case rest == "projects":
		var last string
		for _, name := range r.repositories() {
			if project, _, _ := strings.Cut(name, "/"); project != last {
				items, last = append(items, map[string]any{"name": project}), project
			}
		}
	case len(parts) == 3 && parts[0] == "projects" && parts[2] == "repositories" && !slices.Contains(r.options.HarborDenied, parts[1]):
		for _, name := range r.repositories() {
			if strings.HasPrefix(name, parts[1]+"/") {
				items = append(items, map[string]any{"name": name})
			}
		}
	case len(parts) == 5 && parts[0] == "projects" && parts[4] == "artifacts":
		once, _ := url.PathUnescape(parts[3])
		name, _ := url.PathUnescape(once)
		var ok bool
		if items, ok = r.artifacts(path.Join(parts[1], name)); !ok {
			refuse(w, http.StatusNotFound, "NOT_FOUND")
			return
		}
	default:
		refuse(w, http.StatusForbidden, "FORBIDDEN")
		return
	}
	page, _ := strconv.Atoi(req.URL.Query().Get("page"))
	size, _ := strconv.Atoi(req.URL.Query().Get("page_size"))
	page, size = max(page, 1), min(max(size, 1), 100)
	from := min((page-1)*size, len(items))
	w.Header().Set("X-Total-Count", strconv.Itoa(len(items)))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(append([]any{}, items[from:min(from+size, len(items))]...))
}

// artifacts lists the manifests of a repository with their tags.
func (r *Registry) artifacts(repo string) ([]any, bool) {
	tags, ok := r.tags(repo)
	byDigest := map[gate.Digest][]any{}
	var order []gate.Digest
	for _, tag := range tags {
		d := r.digest(repo, tag)
		if byDigest[d] == nil {
			order = append(order, d)
		}
		byDigest[d] = append(byDigest[d], map[string]any{"name": tag})
	}
	var items []any
	for _, d := range order {
		items = append(items, map[string]any{"digest": d, "tags": byDigest[d]})
	}
	return items, ok
}

func (r *Registry) digest(repo, tag string) gate.Digest {
	req, err := http.NewRequest(http.MethodHead, "/v2/"+repo+"/manifests/"+tag, nil)
	if err != nil {
		return ""
	}
	a := answer{status: http.StatusOK, header: http.Header{}}
	r.inner.ServeHTTP(&a, req)
	return gate.Digest(a.header.Get("Docker-Content-Digest"))
}
