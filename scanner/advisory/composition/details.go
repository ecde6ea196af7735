package composition

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/aquasecurity/trivy-db/pkg/types"
	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/scanner/advisory/alias"
)

// details writes the records of vulnerabilities. What several sources say of one is
// joined: each text, score and grade is that of the first source that gives it, and aliases
// are those of all.
func (c *composer) details(ctx context.Context, have []*source) error {
	if err := c.out.open([]byte(detailBucket)); err != nil {
		return err
	}
	cursors, at, values := make([]*bolt.Cursor, len(have)), make([][]byte, len(have)), make([][]byte, len(have))
	for i, s := range have {
		cursors[i] = s.tx.Bucket([]byte(detailBucket)).Cursor()
		at[i], values[i] = cursors[i].First()
	}
	for n := 0; ; n++ {
		if err := ctx.Err(); n%1000 == 0 && err != nil {
			return err
		}
		id := smallest(at)
		if id == nil {
			return nil
		}
		var value []byte
		for i := range at {
			if !bytes.Equal(at[i], id) {
				continue
			}
			var err error
			if value, err = joinDetails(value, values[i]); err != nil {
				return fmt.Errorf("%s of source %q: %w", id, have[i].Name, err)
			}
		}
		if value != nil {
			if err := c.out.value(id, value); err != nil {
				return err
			}
		}
		key := bytes.Clone(id)
		for i := range at {
			if bytes.Equal(at[i], key) {
				at[i], values[i] = cursors[i].Next()
			}
		}
	}
}

// joinDetails fills what the first of two records does not say with what the second says.
func joinDetails(first, second []byte) ([]byte, error) {
	switch {
	case first == nil:
		return second, nil
	case second == nil || bytes.Equal(first, second):
		return first, nil
	}
	var a, b types.Vulnerability
	if err := json.Unmarshal(first, &a); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(second, &b); err != nil {
		return nil, err
	}
	alias.Put(&a, alias.Of(&b)...)
	if a.Title == "" {
		a.Title = b.Title
	}
	if a.Description == "" {
		a.Description = b.Description
	}
	if a.Severity == "" {
		a.Severity = b.Severity
	}
	if len(a.CweIDs) == 0 {
		a.CweIDs = b.CweIDs
	}
	if len(a.References) == 0 {
		a.References = b.References
	}
	if a.PublishedDate == nil {
		a.PublishedDate = b.PublishedDate
	}
	if a.LastModifiedDate == nil {
		a.LastModifiedDate = b.LastModifiedDate
	}
	for id, s := range b.VendorSeverity {
		if _, ok := a.VendorSeverity[id]; !ok {
			if a.VendorSeverity == nil {
				a.VendorSeverity = types.VendorSeverity{}
			}
			a.VendorSeverity[id] = s
		}
	}
	for id, s := range b.CVSS {
		if _, ok := a.CVSS[id]; !ok {
			if a.CVSS == nil {
				a.CVSS = types.VendorCVSS{}
			}
			a.CVSS[id] = s
		}
	}
	return json.Marshal(a)
}
