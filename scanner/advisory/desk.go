package advisory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/advisory/source"
)

// Desk is where people see how advisory data stands, and order what no process does by
// itself. It works on the store alone, so that every process with an API has one,
// whether it matches or not. It is safe for concurrent use.
type Desk struct {
	store        agree.Store
	activations  *agree.Activations
	repositories []string
	sources      []source.Config // in the order in which they decide; empty without any
	maxAge       time.Duration
	javaMaxAge   time.Duration
	log          *slog.Logger
}

// Compose says of which sources this process is configured to compose generations, and
// from which age their data, and the index of Java archives, is stale. It is called before
// the desk is used.
func (d *Desk) Compose(c Config) {
	d.javaMaxAge = c.Java.MaxAge
	if len(c.Sources) > 0 {
		d.sources, d.maxAge = source.Ordered(c.Sources, c.Path != "" || len(c.Repositories) > 0), c.MaxAge
	}
}

// NewDesk makes the desk of a store. repositories are those that this process is
// configured to ask; by and program name this process.
func NewDesk(s agree.Store, repositories []string, by, program string, log *slog.Logger) *Desk {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Desk{store: s, activations: agree.NewActivations(s, Kind(), by, program), repositories: repositories, log: log}
}

// Status is how advisory data stands for all processes. Errors: those of the store.
func (d *Desk) Status(ctx context.Context) (gate.AdvisoryData, error) {
	v := gate.AdvisoryData{Repositories: append([]string{}, d.repositories...), Accepted: []gate.AcceptedAdvisories{}, Processes: []gate.AdvisoryHolder{}, Audit: []gate.AdvisoryOrder{}}
	active, ok, err := d.activations.Active(ctx)
	if err != nil {
		return v, err
	}
	list, now, err := loadHolders(ctx, d.store)
	if err != nil {
		return v, err
	}
	o, err := loadOrders(ctx, d.store)
	if err != nil {
		return v, err
	}
	st, err := loadRefresh(ctx, d.store)
	if err != nil {
		return v, err
	}
	v.Processes = list.views()
	v.Accepted, v.Audit, v.RolledBack = append(v.Accepted, o.Accepted...), append(v.Audit, o.Audit...), o.RolledBack
	if ok {
		v.InForce = generationView(active)
		if number, content := active.Before(); content != "" {
			v.Before = gate.AdvisoryGeneration{Number: number, Content: content}
			if g, err := held(list, content); err == nil {
				v.Before.UpdatedAt = g.UpdatedAt
				v.Before.Sources, v.Before.Held = g.Manifest.views()
			}
		}
		v.Changed = sourcesChanged(v.Before, v.InForce, manifestOf(active).Changed)
		v.InForce.Java = manifestOf(active).Java.view(d.javaMaxAge, now)
	}
	st.show(&v, now, ok)
	d.showSources(&v, st, now)
	return v, nil
}

// keeps is a content that some process keeps, ready to be put in force.
func (d *Desk) keeps(ctx context.Context, content gate.Digest) (agree.Content, error) {
	list, _, err := loadHolders(ctx, d.store)
	if err != nil {
		return agree.Content{}, err
	}
	g, err := held(list, content)
	if err != nil {
		return agree.Content{}, err
	}
	return *(&Database{Content: content, UpdatedAt: g.UpdatedAt, Manifest: g.Manifest}).content(), nil
}

// held finds a content among what processes keep.
func held(h holders, content gate.Digest) (heldGeneration, error) {
	if g, ok := h.Generations[content]; ok {
		return g, nil
	}
	return heldGeneration{}, errors.Join(gate.ErrNotFound,
		fmt.Errorf("no running process keeps advisory data %s any more; bring it to advisories.path instead", content.Short()))
}

// generationView is an activation for people.
func generationView(a agree.Activation) gate.AdvisoryGeneration {
	v := gate.AdvisoryGeneration{Number: a.Number, Content: a.Content, UpdatedAt: a.UpdatedAt, ActivatedAt: a.ActivatedAt, By: a.By}
	m := manifestOf(a)
	v.Sources, v.Held = m.views()
	v.Java = m.Java.view(0, time.Time{})
	v.Disagreements = m.Disagreements
	return v
}

// views are the parts of a manifest for people.
func (m Manifest) views() (sources []gate.AdvisorySource, held []gate.HeldAdvisories) {
	for _, s := range m.Sources {
		sources = append(sources, s.view())
	}
	for _, h := range m.Held {
		held = append(held, gate.HeldAdvisories{Bucket: h.Bucket, UpdatedAt: h.UpdatedAt, Reason: h.Reason})
	}
	return sources, held
}
