package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Kind is how processes agree on policies: sets are small enough to be kept in
// the store, have no order, and what the store has lost is put back as it was
// (docs/adr/0010-active-policies.md). Alone says that no other process uses the
// store, so that the files here are in force, always.
func Kind(alone bool) agree.Kind {
	k := agree.Kind{
		Setting: agree.SettingPolicies, Format: 1, Wins: agree.ByHistory, PutBack: true, Alone: alone, File: "policies/active.json",
		Words: agree.Words{
			What: "policies", Here: "the files here", Number: "activation", InUse: "policies in force",
			OtherWay: `put the files of this one in force with "digestgate policy activate"`,
			Messages: agree.Messages{
				Activated: "policies activated",
				Differs:   "the policy files here are not those in force",
				PutBack:   "the store had lost the policies in force, they were put back",
				Forgotten: "the policies in force are not remembered for the next start",
				NotLoaded: "the policies in force do not load, the former ones stay in use here",
				Unknown:   "it is not known which policies are in force, the former ones stay in use here",
			},
		},
	}
	if alone {
		k.File = "" // the files say all that there is to remember
	}
	return k
}

// contentFor makes a content of files; its digest is theirs wherever they are.
func contentFor(files []File) (agree.Content, error) {
	packed, err := agree.Pack(canonical(files))
	if err != nil {
		return agree.Content{}, fmt.Errorf("packing the policies: %w", err)
	}
	return agree.Content{Digest: contentOf(files), Packed: packed}, nil
}

// filesOf unpacks the sources of an activation. gate.ErrInvalid: they are
// damaged.
func filesOf(a agree.Activation) ([]File, error) {
	var files []File
	err := agree.Unpack(a.Packed, maxUnpacked, &files)
	if err == nil && contentOf(files) != a.Content {
		err = errors.New("the files are not those of the content")
	}
	if err != nil {
		return nil, fmt.Errorf("unpacking the policies of activation %d: %w: %w", a.Number, gate.ErrInvalid, err)
	}
	return files, nil
}

// maxUnpacked bounds the JSON of the files of a set: a text without any letter
// that JSON writes as it is takes six times its size.
const maxUnpacked = 6*maxSetBytes + 1<<20

// Activations is the set of policies in force on a store, for who has none of its
// own. It is safe for concurrent use, in one process and between several.
type Activations struct{ in *agree.Activations }

// NewActivations looks at a store; by names this process to people, program is
// its version.
func NewActivations(s agree.Store, by, program string) *Activations {
	return &Activations{agree.NewActivations(s, Kind(false), by, program)}
}

// Active is what is in force; see [agree.Activations.Active].
func (a *Activations) Active(ctx context.Context) (active agree.Activation, ok bool, err error) {
	return a.in.Active(ctx)
}

// Activate puts files in force, whatever is; see [agree.Activations.Activate].
func (a *Activations) Activate(ctx context.Context, files []File) (agree.Activation, error) {
	content, err := contentFor(files)
	if err != nil {
		return agree.Activation{}, err
	}
	active, _, err := a.in.Activate(ctx, content, 0, nil)
	return active, err
}

// InForce is what is in force, for people; gate.ErrNotFound when nothing is.
func (a *Activations) InForce(ctx context.Context) (gate.PolicySet, error) {
	active, ok, err := a.Active(ctx)
	if err != nil {
		return gate.PolicySet{}, err
	}
	if !ok {
		return gate.PolicySet{}, fmt.Errorf("no policies were ever in force here: %w", gate.ErrNotFound)
	}
	files, err := filesOf(active)
	if err != nil {
		return gate.PolicySet{}, err
	}
	set := gate.PolicySet{Number: active.Number, Content: active.Content, ActivatedAt: active.ActivatedAt, By: active.By, Program: active.Program}
	for _, f := range files {
		set.Files = append(set.Files, gate.PolicyFile(f))
	}
	return set, nil
}
