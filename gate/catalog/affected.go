package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// Affected lists the images whose findings have a vulnerability, in the order of their
// digests, with their places; known says that any image has it, whatever the rest of the
// filter is. It knows what the catalog shows and has read. gate.ErrInvalid: the limit is not
// one of a list.
func (h *Holdings) Affected(ctx context.Context, f gate.AffectedFilter) (list []gate.ListedImage, known bool, err error) {
	if f.Limit < 1 || f.Limit > gate.MaxPage {
		return nil, false, fmt.Errorf("limit %d is not between 1 and %d: %w", f.Limit, gate.MaxPage, gate.ErrInvalid)
	}
	sets, err := h.setsWith(ctx, "vulnerability\x00"+f.ID)
	if err != nil || len(sets) == 0 {
		return nil, false, err
	}
	slices.Sort(sets)
	in, err := json.Marshal(slices.Compact(sets))
	if err != nil {
		return nil, false, failure("reading what images hold", err)
	}
	const held = ` FROM json_each(?) s JOIN held h ON h.vulnerabilities = s.value
		JOIN images i ON i.digest = h.digest AND i.inventory = h.inventory AND i.findings = h.findings`
	having, err := all(ctx, h.c, "listing affected images", column[int], "SELECT 1"+held+" LIMIT 1", string(in))
	if err != nil || len(having) == 0 {
		return nil, false, err
	}
	var where conditions
	where.add("i.digest > ?", string(f.After))
	where.equal("i.decision", string(f.Decision))
	if f.Registry != "" || f.Repository != "" {
		at := conditions{}
		at.equal("registry", f.Registry)
		at.equal("repository", f.Repository)
		where.add("EXISTS (SELECT 1 FROM locations l WHERE l.digest = i.digest AND NOT l.gone AND "+at.String()+")", at.args...)
	}
	if f.Only != nil {
		only := make([]string, len(f.Only))
		for n, d := range f.Only {
			only[n] = string(d)
		}
		where.add("i.digest IN (SELECT value FROM json_each(?))", jsonArray(only))
	}
	args := append(append([]any{string(in)}, where.args...), f.Limit)
	list, err = h.c.listed(ctx, query{imageColumns + held + " WHERE " + where.String() + " ORDER BY i.digest LIMIT ?", args})
	if err != nil {
		return nil, true, err
	}
	return list, true, h.c.furnish(ctx, list)
}
