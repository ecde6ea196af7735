// Package eol reads the dates of https://endoflife.date (api/v1/products/full) and finds
// that of the release of a distribution. It fetches nothing and decides nothing. A [Table]
// is never changed once it is made, and safe for concurrent use.
package eol

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Limits on a file: the real one has 450 products with 8,000 releases.
const (
	maxProducts = 50_000
	maxReleases = 1_000_000
	maxName     = 200
)

// Table is one state of the dates.
type Table struct {
	GeneratedAt time.Time `json:"generatedAt"`
	// Products are sorted by Name.
	Products []Product `json:"products"`
}

// Product is one product with its other names.
type Product struct {
	Name     string    `json:"name"`
	Aliases  []string  `json:"aliases,omitempty"`
	Releases []Release `json:"releases"` // sorted by Name
}

// Release is one release. From is the first day without maintenance, zero when no day is
// known; Ended then says whether it has come.
type Release struct {
	Name  string    `json:"name"`
	From  time.Time `json:"from,omitzero"`
	Ended bool      `json:"ended,omitempty"`
	// Known says that the source states something about the end.
	Known bool `json:"known"`
}

// document is api/v1/products/full, or what older versions of the API say of a release.
type document struct {
	GeneratedAt time.Time `json:"generated_at"`
	Total       *int      `json:"total"`
	Result      []struct {
		Name     string    `json:"name"`
		Aliases  []string  `json:"aliases"`
		Releases []release `json:"releases"`
	} `json:"result"`
}

type release struct {
	Name  string `json:"name"`
	IsEOL *bool  `json:"isEol"`
	From  any    `json:"eolFrom"` // a date, or null
	// Cycle and EOL are the words of the API before version 1: a date or a boolean.
	Cycle any `json:"cycle"`
	EOL   any `json:"eol"`
}

// Read reads a file. gate.ErrInvalid: it is not JSON of that form, or a date is none.
func Read(r io.Reader) (*Table, error) {
	var doc document
	dec := json.NewDecoder(r)
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, invalid("it is not the JSON of api/v1/products/full: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, invalid("there is more behind the document")
	}
	switch n := len(doc.Result); {
	case doc.GeneratedAt.IsZero():
		return nil, invalid("it has no generated_at, so that its age is not known")
	case n == 0:
		return nil, invalid("result has no products")
	case n > maxProducts:
		return nil, invalid("result has %d products, more than %d", n, maxProducts)
	case doc.Total != nil && *doc.Total != n:
		return nil, invalid("it says total %d and has %d products", *doc.Total, n)
	}
	t := &Table{GeneratedAt: doc.GeneratedAt.UTC()}
	releases := 0
	for i, p := range doc.Result {
		product := Product{Name: normal(p.Name)}
		if product.Name == "" || len(p.Name) > maxName {
			return nil, invalid("result[%d].name is %s", i, gate.Quoted(p.Name, 60))
		}
		for _, a := range p.Aliases {
			if a = normal(a); a != "" && len(a) <= maxName {
				product.Aliases = append(product.Aliases, a)
			}
		}
		if releases += len(p.Releases); releases > maxReleases {
			return nil, invalid("there are more than %d releases", maxReleases)
		}
		for j, r := range p.Releases {
			one, err := r.read()
			if err != nil {
				return nil, invalid("result[%d].releases[%d] of %s: %w", i, j, gate.Quoted(p.Name, 60), err)
			}
			product.Releases = append(product.Releases, one)
		}
		slices.Sort(product.Aliases)
		slices.SortFunc(product.Releases, func(a, b Release) int { return strings.Compare(a.Name, b.Name) })
		t.Products = append(t.Products, product)
	}
	slices.SortFunc(t.Products, func(a, b Product) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(t.Products); i++ {
		if t.Products[i].Name == t.Products[i-1].Name {
			return nil, invalid("product %q is there twice", t.Products[i].Name)
		}
	}
	return t, nil
}

func (r release) read() (Release, error) {
	name := r.Name
	if name == "" && r.Cycle != nil {
		name = fmt.Sprint(r.Cycle)
	}
	one := Release{Name: normal(name)}
	if one.Name == "" || len(name) > maxName {
		return one, fmt.Errorf("name is %s", gate.Quoted(name, 60))
	}
	for _, stated := range []any{r.From, r.EOL} {
		switch v := stated.(type) {
		case nil:
		case bool: // ended, or not, on a day that is not known
			one.Ended, one.Known = v, true
		case string:
			from, err := time.Parse(time.DateOnly, v)
			if err != nil {
				return one, fmt.Errorf("its end of life is %s, want a date such as 2026-06-30", gate.Quoted(v, 60))
			}
			one.From, one.Ended, one.Known = from, false, true
			return one, nil
		default:
			return one, fmt.Errorf("its end of life is %s, want a date, true, false or null", gate.Quoted(fmt.Sprint(v), 60))
		}
	}
	if r.IsEOL != nil {
		one.Ended, one.Known = *r.IsEOL, true
	}
	return one, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), gate.ErrInvalid)
}

// Rows is how many releases there are.
func (t *Table) Rows() (n int) {
	for i := range t.Products {
		n += len(t.Products[i].Releases)
	}
	return n
}
