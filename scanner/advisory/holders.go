package advisory

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// holders are the processes that keep generations: the value of a setting.
type holders struct {
	Processes   map[string]holder              `json:"processes"`
	Generations map[gate.Digest]heldGeneration `json:"generations"` // those that a process keeps
}

// holder is one process.
type holder struct {
	// Address is the base of the URLs at which others get its generations; "" when it has
	// no private listener.
	Address string        `json:"address,omitempty"`
	Kept    []gate.Digest `json:"kept"`
	SeenAt  time.Time     `json:"seenAt"` // by the store's clock
}

// heldGeneration is a generation that a process keeps, with what is needed to put it in
// force.
type heldGeneration struct {
	UpdatedAt time.Time `json:"updatedAt"`
	Manifest  Manifest  `json:"manifest"`
}

const (
	// announceEvery is how often a process says again what it keeps.
	announceEvery = 5 * time.Minute
	// goneAfter is when a process that says nothing counts as gone.
	goneAfter = 3 * announceEvery
	// maxHolders bounds the setting; each entry has about 1 kB.
	maxHolders = 200
)

// loadHolders reads who keeps what; processes that are gone are left out.
func loadHolders(ctx context.Context, s agree.Store) (h holders, now time.Time, err error) {
	if now, err = s.Now(ctx); err != nil {
		return h, now, fmt.Errorf("reading the store's clock: %w", err)
	}
	if _, readable, err := agree.LoadState(ctx, s, agree.SettingHolders, &h); err != nil || !readable {
		return holders{}, now, err
	}
	h.forget(now)
	return h, now, nil
}

// forget removes the processes that are gone, and the generations that no process keeps.
func (h holders) forget(now time.Time) {
	maps.DeleteFunc(h.Processes, func(_ string, p holder) bool { return now.Sub(p.SeenAt).Abs() > goneAfter })
	maps.DeleteFunc(h.Generations, func(content gate.Digest, _ heldGeneration) bool {
		for _, p := range h.Processes {
			if slices.Contains(p.Kept, content) {
				return false
			}
		}
		return true
	})
}

// announce says in the store what this process keeps, when that has changed or was said
// long ago. Errors: those of the store.
func (r *Refresher) announce(ctx context.Context, now time.Time) error {
	r.announcing.Lock()
	defer r.announcing.Unlock()
	kept, described := []gate.Digest{}, map[gate.Digest]heldGeneration{}
	for _, content := range r.Manager.copies.kept() {
		if g, ok := r.described(content); ok {
			kept, described[content] = append(kept, content), g
		}
	}
	names := fmt.Sprint(kept)
	if names == r.said && now.Sub(r.saidAt).Abs() < announceEvery {
		return nil
	}
	err := agree.UpdateSetting(ctx, r.Store, agree.SettingHolders, func(value []byte) ([]byte, error) {
		h := holders{}
		if json.Unmarshal(value, &h) != nil || h.Processes == nil || h.Generations == nil {
			h = holders{Processes: map[string]holder{}, Generations: map[gate.Digest]heldGeneration{}}
		}
		if _, known := h.Processes[r.Process]; !known && len(h.Processes) >= maxHolders {
			return nil, nil
		}
		h.Processes[r.Process] = holder{Address: r.Address, Kept: kept, SeenAt: now.UTC()}
		maps.Copy(h.Generations, described)
		h.forget(now)
		return json.Marshal(h)
	})
	if err == nil {
		r.said, r.saidAt = names, now
	}
	return err
}

// tellKept announces at once. Errors: those of the store.
func (r *Refresher) tellKept(ctx context.Context) error {
	now, err := r.Store.Now(ctx)
	if err != nil {
		return err
	}
	return r.announce(ctx, now)
}

// described is a kept generation as others need it.
func (r *Refresher) described(content gate.Digest) (heldGeneration, bool) {
	if g, ok := r.descriptions[content]; ok {
		return g, true
	}
	dir := r.Manager.copies.dir(content)
	meta, err := readMetadata(dir, time.Time{})
	if err != nil {
		return heldGeneration{}, false
	}
	g := heldGeneration{UpdatedAt: meta.UpdatedAt}
	text, ok, err := readManifest(dir)
	if err == nil && ok {
		g.Manifest, err = decodeManifest(text, content)
	}
	if err != nil {
		return heldGeneration{}, false
	}
	if !ok {
		g.Manifest = single(content, meta.UpdatedAt, 0)
	}
	if r.descriptions == nil {
		r.descriptions = map[gate.Digest]heldGeneration{}
	}
	g.Manifest.Held = slices.Clone(g.Manifest.Held)
	for i := range g.Manifest.Held { // the reasons are in the manifest beside the files
		g.Manifest.Held[i].Reason = gate.Printable(g.Manifest.Held[i].Reason, 60)
	}
	r.descriptions[content] = g
	return g, true
}

// views are the processes for people.
func (h holders) views() []gate.AdvisoryHolder {
	out := []gate.AdvisoryHolder{}
	for _, name := range slices.Sorted(maps.Keys(h.Processes)) {
		p := h.Processes[name]
		out = append(out, gate.AdvisoryHolder{Process: name, Address: p.Address, SeenAt: p.SeenAt, Contents: append([]gate.Digest{}, p.Kept...)})
	}
	return out
}
