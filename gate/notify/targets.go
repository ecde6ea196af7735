package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Targets are those of the configuration file and those that were set at run time. It is
// safe for concurrent use.
type Targets struct {
	Maker Maker
	// File are those of the configuration file at the start.
	File []Config
	// Store has those set at run time; their secrets are sealed with the first of Keys.
	Store agree.Settings
	Keys  [][]byte

	replaced atomic.Pointer[[]Config] // File since a reload
}

// Replace puts other targets of the configuration file in force, which are valid.
func (t *Targets) Replace(file []Config) { t.replaced.Store(&file) }

// file are the targets of the configuration file in force.
func (t *Targets) file() []Config {
	if list := t.replaced.Load(); list != nil {
		return *list
	}
	return t.File
}

// stored is the value of the setting.
type stored struct {
	Format  int            `json:"format"`
	Targets []storedTarget `json:"targets"`
}

type storedTarget struct {
	Config Config `json:"config"`
	CA     []byte `json:"ca,omitempty"`
	Sealed []byte `json:"sealed"`
}

const storedFormat = 1

func decodeStored(value []byte) (stored, error) {
	s := stored{Format: storedFormat}
	if len(value) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(value, &s); err != nil || s.Format != storedFormat {
		return stored{}, fmt.Errorf("setting %q in the store is in format %d, or damaged; run the version of digestgate that wrote it: %w", agree.SettingNotifyTargets, s.Format, gate.ErrStoreUnavailable)
	}
	return s, nil
}

// All are all targets, by name; one that cannot be used has a Problem. A name of the
// file hides the same one set at run time.
func (t *Targets) All(ctx context.Context) ([]Definition, error) {
	var list []Definition
	for _, c := range t.file() {
		list = append(list, FromFile(c))
	}
	value, _, err := t.Store.Setting(ctx, agree.SettingNotifyTargets)
	if err != nil && !isNotFound(err) {
		return nil, fmt.Errorf("reading the targets of notifications: %w", err)
	}
	s, err := decodeStored(value)
	if err != nil {
		return nil, err
	}
	for _, st := range s.Targets {
		if !t.inFile(st.Config.Name) {
			list = append(list, t.unseal(st))
		}
	}
	slices.SortFunc(list, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (t *Targets) inFile(name string) bool {
	return slices.ContainsFunc(t.file(), func(c Config) bool { return c.Name == name })
}

func (t *Targets) unseal(st storedTarget) Definition {
	d := Definition{Config: st.Config, CA: st.CA}
	plain, err := agree.Unseal(agree.SettingNotifyTargets, t.Keys, st.Sealed)
	if err == nil {
		err = json.Unmarshal(plain, &d.Secrets)
	}
	if err != nil {
		d.Problem = "its secrets were sealed with a key that this process does not have: set the target again, or give every process the same store.macKeyFile"
	}
	return d
}

// One is one target. gate.ErrNotFound: there is none of that name.
func (t *Targets) One(ctx context.Context, name string) (Definition, error) {
	list, err := t.All(ctx)
	if err != nil {
		return Definition{}, err
	}
	for _, d := range list {
		if d.Name == name {
			return d, nil
		}
	}
	return Definition{}, noTarget(name)
}

func noTarget(name string) error {
	return gate.Refuse(gate.ErrNotFound, "there is no notification target %s; \"digestgate notifications list\" lists them", gate.Quoted(name, 70))
}

// open opens a definition.
func (t *Targets) open(ctx context.Context, d Definition) (*target, error) {
	return t.Maker.open(ctx, d)
}

// Check opens a definition and closes it again: its template is tried, its address
// judged. gate.ErrInvalid says what is wrong.
func (t *Targets) Check(ctx context.Context, d Definition) error {
	var problems []error
	for _, err := range d.problems(t.Maker.Vendors, d.File) {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: %w", errors.Join(problems...), gate.ErrInvalid)
	}
	if v, _ := Find(t.Maker.Vendors, d.Type); !d.File && d.Secrets.Secret != "" && !v.TakesSecret {
		return fmt.Errorf("secret: messages of the type %s are not signed; leave it out: %w", v.Type, gate.ErrInvalid)
	}
	opened, err := t.open(ctx, d)
	if err != nil {
		return err
	}
	defer opened.sender.Close()
	if d.File {
		return opened.templateProblem
	}
	if err := t.Maker.Allow.Host(opened.sender.Address()); err != nil {
		return gate.Refuse(gate.ErrInvalid, "connecting to its host is not allowed: %s", gate.Sentence(err))
	}
	return nil
}

// Put sets a target at run time. create: it must not exist; otherwise it must, and is
// replaced as a whole, its secrets too. Errors: gate.ErrInvalid,
// gate.ErrConflict for a name of the configuration file, one that exists, or too many;
// gate.ErrNotFound; those of the store.
func (t *Targets) Put(ctx context.Context, d Definition, create bool) error {
	if t.inFile(d.Name) {
		return gate.Refuse(gate.ErrConflict, "%s is a target of the configuration file; change it there", gate.Quoted(d.Name, 70))
	}
	if len(t.Keys) == 0 {
		return gate.Refuse(gate.ErrInvalid, "the key to seal its secrets with is missing or cannot be used (the log of this process says why, at its start); set store.macKeyFile, or with SQLite mend notify.key in dataDir")
	}
	return t.update(ctx, func(s *stored) error {
		i := slices.IndexFunc(s.Targets, func(x storedTarget) bool { return x.Config.Name == d.Name })
		switch {
		case create && i >= 0:
			return gate.Refuse(gate.ErrConflict, "the notification target %s already exists; choose another name, or replace it (\"digestgate notifications add --replace\")", gate.Quoted(d.Name, 70))
		case !create && i < 0:
			return noTarget(d.Name)
		case create && len(s.Targets)+len(t.file()) >= MaxTargets:
			return gate.Refuse(gate.ErrConflict, "there are already %d targets, the most there can be; remove one", MaxTargets)
		}
		if err := t.Check(ctx, d); err != nil {
			return err
		}
		plain, err := json.Marshal(d.Secrets)
		if err != nil {
			return err
		}
		next := storedTarget{Config: d.Config, CA: d.CA}
		if next.Sealed, err = agree.Seal(agree.SettingNotifyTargets, t.Keys[0], plain); err != nil {
			return err
		}
		if i < 0 {
			s.Targets = append(s.Targets, next)
		} else {
			s.Targets[i] = next
		}
		return nil
	})
}

// Remove removes one that was set at run time, with what waits for it. gate.ErrNotFound;
// gate.ErrConflict for one of the configuration file.
func (t *Targets) Remove(ctx context.Context, name string) error {
	if t.inFile(name) {
		return gate.Refuse(gate.ErrConflict, "%s is a target of the configuration file; remove it there", gate.Quoted(name, 70))
	}
	err := t.update(ctx, func(s *stored) error {
		before := len(s.Targets)
		s.Targets = slices.DeleteFunc(s.Targets, func(x storedTarget) bool { return x.Config.Name == name })
		if len(s.Targets) == before {
			return noTarget(name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// A setting cannot be removed. An empty state begins at the present again.
	if _, err := updateState(ctx, t.Store, name, func(st *state) bool { *st = state{Format: stateFormat}; return true }); err != nil {
		return err
	}
	return agree.UpdateSetting(ctx, t.Store, agree.SettingNotifyLog(name), func([]byte) ([]byte, error) { return []byte("[]"), nil })
}

func (t *Targets) update(ctx context.Context, change func(*stored) error) error {
	return agree.UpdateSetting(ctx, t.Store, agree.SettingNotifyTargets, func(value []byte) ([]byte, error) {
		s, err := decodeStored(value)
		if err == nil {
			err = change(&s)
		}
		if err != nil {
			return nil, err
		}
		return json.Marshal(s)
	})
}
