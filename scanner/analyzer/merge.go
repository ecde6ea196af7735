package analyzer

import (
	"context"
	"fmt"
	"slices"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/registry"
)

// merge lets a child make the inventory, and completes it. Where links give
// content other names that matter, the child first asks for some layers once
// more; there is no third time.
func (r *analysis) merge(ctx context.Context, results []*result) (*gate.Inventory, error) {
	res, err := r.mergeOnce(ctx, results, nil)
	if err == nil && len(res.Again) > 0 {
		var again []protocol.Again
		if again, err = r.readAgain(ctx, res.Again, &results); err == nil {
			res, err = r.mergeOnce(ctx, results, again)
		}
	}
	if err != nil {
		return nil, err
	}
	if res.Inventory == nil {
		return nil, fmt.Errorf("the analyzer child's answer has no inventory: %w", gate.ErrScanFailed)
	}
	if err := validate(res.Inventory, r.image); err != nil {
		return nil, fmt.Errorf("the analyzer child's inventory: %w: %w", err, gate.ErrScanFailed)
	}
	r.complete(res.Inventory)
	return res.Inventory, nil
}

func (r *analysis) mergeOnce(ctx context.Context, results []*result, again []protocol.Again) (*protocol.Result, error) {
	r.report(func(p *gate.Progress) { p.Phase = gate.PhaseMerge })
	unit := r.unit(protocol.KindMerge)
	unit.Layers, unit.Again = len(r.image.Layers), again
	res, err := r.a.launcher.run(ctx, &session{unit: unit, config: r.image.Config, results: results})
	if err != nil {
		return nil, explain("merging the layers", err)
	}
	return res, nil
}

// readAgain gets the results of the layers that are wanted once more and appends
// them. A layer that occurs twice is read for both places at once; small layers of one
// group share a child again.
func (r *analysis) readAgain(ctx context.Context, asked []protocol.Again, results *[]*result) ([]protocol.Again, error) {
	if err := r.checkAgain(asked); err != nil {
		return nil, fmt.Errorf("the analyzer child asks for layers again: %w: %w", err, gate.ErrScanFailed)
	}
	together := map[gate.Digest][]protocol.Wanted{}
	bytes := r.image.Size
	for _, a := range asked {
		l := r.image.Layers[a.Layer]
		if together[l.Digest] == nil {
			bytes += l.Size
		}
		together[l.Digest] = append(together[l.Digest], a.Wanted...)
	}
	for d, w := range together {
		together[d] = inOrder(w)
	}
	if bytes > int64(r.a.config.MaxImageBytes) {
		return nil, fmt.Errorf("the layers that must be read twice because of links have, with all the others, more than scan.maxImageBytes (%s): %w",
			r.a.config.MaxImageBytes, gate.ErrUnassessable)
	}
	r.report(func(p *gate.Progress) { p.Phase, p.BytesTotal, p.LayersAgain = gate.PhaseLayers, bytes, len(together) })
	done := map[gate.Digest]*result{}
	for _, w := range r.readingsAgain(asked, together) {
		got, at, err := r.read(ctx, w)
		if err != nil {
			number := 1 + slices.IndexFunc(r.image.Layers, func(l registry.Layer) bool { return l.Digest == w.layers[at].Digest })
			return nil, explain(fmt.Sprintf("layer %d of %d, once more", number, len(r.image.Layers)), err)
		}
		for i, l := range w.layers {
			done[l.Digest] = got[i]
		}
	}
	out := make([]protocol.Again, len(asked))
	for k, a := range asked {
		d := r.image.Layers[a.Layer].Digest
		if _, err := r.accept(a.Layer, done[d]); err != nil {
			return nil, err
		}
		out[k] = protocol.Again{Layer: a.Layer, Wanted: together[d]}
		*results = append(*results, done[d])
	}
	return out, nil
}

// readingsAgain divides the layers that are wanted once more: those of one group, each
// once, are for one child.
func (r *analysis) readingsAgain(asked []protocol.Again, together map[gate.Digest][]protocol.Wanted) (list []reading) {
	planned, last := map[gate.Digest]bool{}, -1
	for _, a := range asked {
		l := r.image.Layers[a.Layer]
		if planned[l.Digest] {
			continue
		}
		planned[l.Digest] = true
		if k := slices.IndexFunc(r.groups, func(g group) bool { return a.Layer < g.end }); k != last {
			list, last = append(list, reading{}), k
		}
		w, limit := &list[len(list)-1], max(r.sizes[a.Layer], 1)
		w.layers, w.wanted, w.limits, w.total = append(w.layers, l), append(w.wanted, together[l.Digest]), append(w.limits, limit), w.total+limit
	}
	return list
}

// checkAgain checks the form of what a child asks for.
func (r *analysis) checkAgain(asked []protocol.Again) error {
	names, before := 0, -1
	for _, a := range asked {
		if a.Layer <= before || a.Layer >= len(r.image.Layers) || len(a.Wanted) == 0 {
			return fmt.Errorf("layer %d is out of order or not there", a.Layer)
		}
		before = a.Layer
		for _, w := range a.Wanted {
			if w.Entry < 0 || len(w.Name) == 0 || len(w.Name) > maxWantedName {
				return fmt.Errorf("entry %d of layer %d is described wrongly", w.Entry, a.Layer)
			}
		}
		if names += len(a.Wanted); names > protocol.MaxWanted {
			return fmt.Errorf("it wants more than %d names", protocol.MaxWanted)
		}
	}
	return nil
}

// maxWantedName is longer than any path that a container can open.
const maxWantedName = 8 << 10

// inOrder sorts what is wanted of a layer and removes what is named twice, so
// that equal wishes have one entry in the cache.
func inOrder(wanted []protocol.Wanted) []protocol.Wanted {
	slices.SortFunc(wanted, protocol.Wanted.Compare)
	return slices.CompactFunc(wanted, func(a, b protocol.Wanted) bool { return a.Compare(b) == 0 })
}
