package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// paging is a registry with lists of total names, whose pages have at most size
// names and which refuses to be asked for more.
type paging struct {
	total, size int
	link        string              // format of its Link header: path, query
	refuse      func(n string) bool // nil: over size
	status      int                 // of a refusal
	body        string
}

func (p paging) serve(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	key := "tags"
	if req.URL.Path == "/v2/_catalog" {
		key = "repositories"
	}
	n, err := strconv.Atoi(q.Get("n"))
	refused := err == nil && n > p.size
	if p.refuse != nil {
		refused = p.refuse(q.Get("n"))
	}
	if refused {
		w.WriteHeader(p.status)
		_, _ = w.Write([]byte(p.body))
		return
	}
	first, _ := strconv.Atoi(strings.TrimPrefix(q.Get("last"), "t"))
	var list []string
	for i := first + 1; i <= min(first+p.size, p.total); i++ {
		list = append(list, fmt.Sprintf("t%d", i))
	}
	if first+p.size < p.total {
		next := url.Values{"last": {list[len(list)-1]}, "n": {strconv.Itoa(p.size)}}
		w.Header().Set("Link", fmt.Sprintf(p.link, req.URL.Path, next.Encode()))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{key: list})
}

func pagingRig(t *testing.T, p paging) (*Client, *storeOf) {
	t.Helper()
	s := serveStore(t, p.serve)
	c := DefaultConfig()
	c.Name, c.Type, c.Host, c.PlainHTTP = "test", "distribution", s.host, true
	return newClient(t, Options{Registries: []Config{c}}), s
}

const commonLink = `<%s?%s>; rel="next"`

// TestPageSizeIsRefused: a page size that a registry does not take is left out,
// for good.
func TestPageSizeIsRefused(t *testing.T) {
	const refusal = `{"errors":[{"code":"PAGINATION_NUMBER_INVALID","message":"x"}]}`
	for name, p := range map[string]paging{
		"distribution":    {total: 25, size: 10, link: commonLink, status: 400, body: refusal},
		"without_a_body":  {total: 25, size: 10, link: commonLink, status: 400},
		"smallest":        {total: 7, size: 1, link: commonLink, status: 400, body: refusal},
		"any_size_at_all": {total: 25, size: 10, link: commonLink, status: 400, body: refusal, refuse: func(n string) bool { return n != "" }},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := pagingRig(t, p)
			loc := gate.Location{Registry: "test", Repository: "team/app"}
			for range 2 {
				repositories, err := c.Repositories(t.Context(), "test")
				if err != nil || len(repositories.Names) != p.total || !repositories.Complete || repositories.Note != "" {
					t.Errorf("Repositories: %+v, %v, want %d", repositories, err, p.total)
				}
				tags, err := c.Tags(t.Context(), loc)
				if err != nil || len(tags.Tags) != p.total || !tags.Complete || tags.Note != "" {
					t.Errorf("Tags: %+v, %v, want %d", tags, err, p.total)
				}
			}
			asked := slices.DeleteFunc(s.requests(), func(q *http.Request) bool { return q.URL.Query().Get("n") != "1000" })
			if len(asked) != 2 {
				t.Errorf("the size that was refused was asked for %d times, want once for each list", len(asked))
			}
		})
	}
	for name, p := range map[string]paging{
		"whatever_is_asked": {status: 400, refuse: func(string) bool { return true }},
		"forbidden":         {status: 403, refuse: func(string) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := pagingRig(t, p)
			_, err := c.Repositories(t.Context(), "test")
			want, requests := gate.ErrRegistryUnavailable, 2
			if p.status == 403 {
				want, requests = gate.ErrRegistryAuth, 1
			}
			if !errors.Is(err, want) || len(s.requests()) != requests {
				t.Errorf("got %v after %d requests, want %v after %d", err, len(s.requests()), want, requests)
			}
		})
	}
}

// TestLinks: links that can be understood are followed, whatever they look like;
// what cannot makes the list incomplete, and the list says so.
func TestLinks(t *testing.T) {
	for name, link := range map[string]string{
		"common":           `<%s?%s>; rel="next"`,
		"no_quotes":        `<%s?%s>; rel=next`,
		"no_brackets":      `%s?%s; rel="next"`,
		"upper_case":       `<%s?%s>; REL="Next"`,
		"absolute":         `<https://elsewhere.example.com%s?%s>; rel="next"`,
		"other_parameters": `<%s?%s>; title="a, b; rel=prev"; rel="next"; type="x"`,
		"two_relations":    `<%s?%s>; rel="last next"`,
		"after_another":    `</v2/first>; rel="first", <%s?%s>; rel="next"`,
		"spaces":           `  <%s?%s>  ;  rel  =  "next"  `,
		"empty_parameters": `<%s?%s>;; rel="next";`,
		"single_quotes":    `<%s?%s>; rel='next'`,
		"two_rel":          `<%s?%s>; rel="next"; rel="prev"`,
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := pagingRig(t, paging{total: 5, size: 2, link: link, refuse: func(string) bool { return false }})
			list, err := c.Tags(t.Context(), gate.Location{Registry: "test", Repository: "team/app"})
			followed := len(list.Tags) == 5 && list.Complete && list.Note == ""
			if err != nil || !followed {
				t.Errorf("got %+v, %v", list, err)
			}
		})
	}
	for name, link := range map[string]string{
		"words":          `see page 2`,
		"no_relation":    `</v2/team/app/tags/list?last=t2>`,
		"empty_relation": `</v2/team/app/tags/list?last=t2>; rel=""`,
		"no_query":       `</v2/team/app/tags/list/2>; rel="next"`,
		"no_end":         `</v2/team/app/tags/list?last=t2; rel="next"`,
		"no_end_quote":   `</v2/team/app/tags/list?last=t2>; rel="next`,
		"odd_relation":   `</v2/team/app/tags/list?last=t2>; rel="«next»"`,
		"no_address":     `<http://[::1?last=t2>; rel="next"`,
		"broken_query":   `</v2/team/app/tags/list?last=%zz>; rel="next"`,
		"json":           `{"next":"/v2/team/app/tags/list?last=t2"}`,
		"too_long":       `</v2/team/app/tags/list?last=` + strings.Repeat("x", maxQueryBytes) + `>; rel="next"`,
		"same_page":      `</v2/team/app/tags/list?n=1000>; rel="next"`,
		"hostile":        "<\xff\x9b31m\u202e>; rel=\"next\"",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{})
			r.Fail(fake.Fault{Path: "/v2/**/tags/list", Body: []byte(`{"tags":["t1","t2"]}`), Header: http.Header{"Link": {link}}})
			list, err := r.client.Tags(t.Context(), r.loc)
			if err != nil || len(list.Tags) != 2 || list.Complete || !strings.Contains(list.Note, "only 2 tags are looked at") || len(list.Note) > 400 || list.Note != gate.Printable(list.Note, 400) {
				t.Errorf("got %+v, %v, want two tags of an incomplete list that says so", list, err)
			}
			r.Fail(fake.Fault{Path: "/v2/_catalog", Body: []byte(`{"repositories":["a","b"]}`), Header: http.Header{"Link": {link}}})
			if name == "same_page" {
				return // it is another page here
			}
			repositories, err := r.client.Repositories(t.Context(), "test")
			if err != nil || len(repositories.Names) != 2 || repositories.Complete || !strings.Contains(repositories.Note, "only 2 repositories are looked at") {
				t.Errorf("Repositories: got %+v, %v", repositories, err)
			}
		})
	}
	for name, links := range map[string][]string{
		"other_relations": {`</v2/team/app/tags/list?last=t0>; rel="prev"`, `<https://example.com>; rel="license"; title="x"`},
		"one_line":        {`</a?b=c>; rel="prev", </d>; rel="first self"`},
		"by_address":      {`</a?b=c>; rel="https://example.com/next"`},
		"empty":           {``},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fake.Options{})
			r.Fail(fake.Fault{Path: "/v2/**/tags/list", Body: []byte(`{"tags":["t1","t2"]}`), Header: http.Header{"Link": links}})
			if list, err := r.client.Tags(t.Context(), r.loc); err != nil || !list.Complete || list.Note != "" {
				t.Errorf("got %+v, %v, want a complete list", list, err)
			}
		})
	}
}

func FuzzLinks(f *testing.F) {
	for _, seed := range []string{`</v2/a?last=x>; rel="next"`, `/v2/a?last=x; rel="next"`, `<a>; REL=Next, <b>`, `<`, `;;;`, `<a>;rel="n\"ext"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		query, err := nextQuery(http.Header{"Link": {line}})
		if query != nil && err != nil {
			t.Errorf("nextQuery(%q): got %v and %v", line, query, err)
		}
		if len(query.Encode()) > 3*maxQueryBytes {
			t.Errorf("nextQuery(%q): a query of %d bytes", line, len(query.Encode()))
		}
	})
}
