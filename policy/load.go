package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// large are the large values of an image, as far as they were needed.
type large struct {
	inv *gate.Inventory
	f   *gate.Findings
}

// needs says which large values an input is made from; what the record's summary has
// is not read.
func (v *visible) needs(r *gate.Record, j *joint) (inventory, findings bool) {
	i, f := &r.Summary.Inventory, &r.Summary.Findings
	inventory = !r.InventorySummarized() || v.inventory || v.risks || v.secrets && i.Secrets > 0
	findings = !r.FindingsSummarized() || v.vulnerabilities && v.alike(f) != "" || v.tables.accepted && j.hidden > 0 || v.gaps && f.Gaps > 0 || v.risks && f.NamesAlike != ""
	return inventory, findings
}

// values are the large values of one question, which are read once at most.
type values struct {
	q    *gate.Question
	have large
}

// get has what is needed in hand, and says whether that is what the record names. It
// may be newer than the record that the caller has read: then it answers this question
// and nothing of it is kept.
func (e *Engine) get(ctx context.Context, v *values, inventory, findings bool) (large, error) {
	if (!inventory || v.have.inv != nil) && (!findings || v.have.f != nil) {
		return v.have, nil
	}
	key := v.q.Record.InventoryID + "\x00" + v.q.Record.FindingsID
	if !inventory && v.q.LoadFindings != nil {
		f, err := once(ctx, e, "f\x00"+key, func(ctx context.Context) (large, error) {
			f, err := v.q.LoadFindings(ctx)
			return large{f: f}, err
		})
		if err == nil && f.f != nil {
			v.have.f = f.f
			return v.have, nil
		}
		if ctx.Err() != nil {
			return large{}, err
		}
	}
	both, err := once(ctx, e, key, func(ctx context.Context) (large, error) {
		inv, f, err := v.q.Load(ctx)
		if err == nil && (inv == nil || f == nil) {
			err = fmt.Errorf("the record names findings that are not stored: %w", gate.ErrPending)
		}
		return large{inv, f}, err
	})
	if err != nil {
		return large{}, err
	}
	v.have = both
	return both, nil
}

// once shares a load among all that ask for the same at the same time. It continues
// when one of them gives up.
func once(ctx context.Context, e *Engine, key string, load func(context.Context) (large, error)) (large, error) {
	result := e.loads.DoChan(key, func() (value any, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("loading the findings panicked: %v", r)
			}
		}()
		return load(ctx)
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return large{}, r.Err
		}
		return r.Val.(large), nil
	case <-ctx.Done():
		return large{}, over(ctx, "findings")
	}
}

// over is the error of a wait that ctx has ended. One whose caller has something else to
// answer with says so by its cause.
func over(ctx context.Context, what string) error {
	if cause := context.Cause(ctx); errors.Is(cause, gate.ErrPending) {
		return fmt.Errorf("waiting for the %s: %w", what, cause)
	}
	return fmt.Errorf("waiting for the %s: %w", what, gate.ErrTimeout)
}

// of reports whether the values are those that the record names, so that what follows
// from them may be kept under what the record says of them.
func (l large) of(r *gate.Record) bool {
	if l.inv != nil && r.InventorySummarized() {
		s := l.inv.Summarize(r.InventoryID)
		if i := &r.Summary.Inventory; s.RisksAlike != i.RisksAlike || s.SecretsAlike != i.SecretsAlike || s.EOL != i.EOL ||
			!l.inv.AnalyzedAt.Equal(r.AnalyzedAt) || l.inv.AnalyzerSet != r.AnalyzerSet {
			return false
		}
	}
	if l.f == nil {
		return true
	}
	// What is matched for a question has no summary, and newer data may have come between
	// the two: after a rollback its findings would answer for the data before.
	if l.f.Generation > r.Generation {
		return false
	}
	if r.FindingsSummarized() {
		s := l.f.Summarize(r.FindingsID)
		f := &r.Summary.Findings
		if s.Alike != f.Alike || s.GapsAlike != f.GapsAlike || s.NamesAlike != f.NamesAlike || s.EOL != f.EOL ||
			l.f.Count() != r.Counts || s.Unassessable != f.Unassessable || s.Advisories != f.Advisories || !l.f.MatchedAt.Equal(r.MatchedAt) {
			return false
		}
	}
	return l.f.InventoryID == "" || l.f.InventoryID == r.InventoryID
}
