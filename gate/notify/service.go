package notify

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Service is what the API shows and changes. It is safe for concurrent use, in every
// process: it does not need to be the one that sends.
type Service struct {
	*Targets
	Now func() time.Time
}

// List are all targets with how they stand. gate.ErrStoreUnavailable.
func (s *Service) List(ctx context.Context) ([]gate.NotificationTarget, error) {
	all, err := s.All(ctx)
	if err != nil {
		return nil, err
	}
	list := []gate.NotificationTarget{}
	for _, d := range all {
		v, err := s.show(ctx, d)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// Target is one of them. gate.ErrNotFound; gate.ErrStoreUnavailable.
func (s *Service) Target(ctx context.Context, name string) (gate.NotificationTarget, error) {
	d, err := s.One(ctx, name)
	if err != nil {
		return gate.NotificationTarget{}, err
	}
	return s.show(ctx, d)
}

func (s *Service) show(ctx context.Context, d Definition) (gate.NotificationTarget, error) {
	v := gate.NotificationTarget{NotificationSettings: settingsOf(d.Config), Source: "api", Signed: d.Secrets.Secret != "", Problem: d.Problem}
	if d.File {
		v.Source = "file"
	}
	if t, err := s.open(ctx, d); err == nil {
		v.Address = t.sender.Address()
		if t.templateProblem != nil && v.Problem == "" {
			v.Problem = gate.Printable("the shipped template is used: "+gate.Sentence(t.templateProblem), 500)
		}
		t.sender.Close()
		if !d.File {
			if err := s.Maker.Allow.Host(v.Address); err != nil {
				v.Problem = gate.Sentence(err)
			}
		}
	} else if v.Problem == "" {
		v.Problem = gate.Printable(gate.Sentence(err), 500)
	}
	st, err := loadState(ctx, s.Store, d.Name)
	if err != nil {
		return v, err
	}
	v.Waiting, v.Delivered, v.GivenUp = len(st.Queue), st.Delivered, st.GivenUp
	if st.Open != nil {
		v.Gathering = max(st.Open.Totals.Images, len(st.Open.Items))
	}
	if len(st.Queue) > 0 {
		v.Oldest, v.NextTryAt, v.LastProblem = st.Queue[0].QueuedAt, st.Queue[0].NotBefore, st.Queue[0].Reason
	}
	return v, nil
}

func settingsOf(c Config) gate.NotificationSettings {
	c = c.WithDefaults()
	v := gate.NotificationSettings{
		Name: c.Name, Type: c.Type, OnlyDenied: c.OnlyDenied, MinSeverity: string(c.MinSeverity), OnlyFixable: c.OnlyFixable, FirstScans: c.FirstScans,
		Registries: c.Registries, Repositories: c.Repositories, Running: c.Running, Gather: c.Gather.String(), MaxAge: c.MaxAge.String(), Template: c.Template,
	}
	for _, e := range c.Events {
		v.Events = append(v.Events, string(e))
	}
	if c.Mail.Server != "" {
		m := c.Mail
		v.Mail = &gate.NotificationMailSettings{Server: m.Server, TLS: m.TLS, Username: m.Username, From: m.From, To: m.To, ClearCredentials: m.ClearCredentials}
	}
	return v
}

// definitionOf reads a request. gate.ErrInvalid: a time is none.
func definitionOf(in gate.NotificationRequest) (Definition, error) {
	d := Definition{
		Config: Config{
			Name: in.Name, Type: in.Type, OnlyDenied: in.OnlyDenied, MinSeverity: gate.Severity(in.MinSeverity), OnlyFixable: in.OnlyFixable, FirstScans: in.FirstScans,
			Registries: in.Registries, Repositories: in.Repositories, Running: in.Running, Template: in.Template,
		},
		Secrets: Secrets{URL: strings.TrimSpace(in.URL), Secret: strings.TrimSpace(in.Secret), Password: strings.TrimSpace(in.Password)},
		CA:      []byte(in.CA),
	}
	for _, e := range in.Events {
		d.Events = append(d.Events, Event(e))
	}
	if m := in.Mail; m != nil {
		d.Mail = MailConfig{Server: m.Server, TLS: m.TLS, Username: m.Username, From: m.From, To: m.To, ClearCredentials: m.ClearCredentials}
	}
	for _, f := range []struct {
		key, value string
		to         *time.Duration
	}{{"gather", in.Gather, &d.Gather}, {"maxAge", in.MaxAge, &d.MaxAge}} {
		if f.value == "" {
			continue
		}
		var err error
		if *f.to, err = time.ParseDuration(f.value); err != nil {
			return d, fmt.Errorf("%s: got %s, want a time such as 5m: %w", f.key, gate.Quoted(f.value, 40), gate.ErrInvalid)
		}
	}
	return d, nil
}

// Add sets a new target; Replace one that exists, with everything, also its secrets.
// Errors: those of [Targets.Put].
func (s *Service) Add(ctx context.Context, in gate.NotificationRequest) (gate.NotificationTarget, error) {
	return s.put(ctx, in, true)
}

// Replace is described at [Service.Add].
func (s *Service) Replace(ctx context.Context, in gate.NotificationRequest) (gate.NotificationTarget, error) {
	return s.put(ctx, in, false)
}

func (s *Service) put(ctx context.Context, in gate.NotificationRequest, create bool) (gate.NotificationTarget, error) {
	d, err := definitionOf(in)
	if err == nil {
		err = s.Put(ctx, d, create)
	}
	if err != nil {
		return gate.NotificationTarget{}, err
	}
	return s.Target(ctx, d.Name)
}

// Test sends a test to a target and waits for the answer, of which only the status and
// the time are told. gate.ErrNotFound; gate.ErrInvalid: the target cannot be used.
func (s *Service) Test(ctx context.Context, name string) (gate.NotificationDelivery, error) {
	d, err := s.One(ctx, name)
	if err != nil {
		return gate.NotificationDelivery{}, err
	}
	t, err := s.open(ctx, d)
	if err != nil {
		return gate.NotificationDelivery{}, err
	}
	defer t.sender.Close()
	now := s.Now()
	m := TestMessage(strings.ToLower(rand.Text()), name, s.Maker.Link, now)
	answer, took, templateFailed, err := t.deliver(ctx, m, now)
	var f *Failure
	outcome := Delivered
	switch {
	case err != nil:
		f, outcome = failureOf(err), Failed
	case templateFailed != nil:
		f = &Failure{Reason: "delivered with the shipped template, because the template of the target failed: " + gate.Sentence(templateFailed)}
	}
	entry := entryOf(t, m, 1, now, answer, took, outcome, f)
	return entry, record(ctx, s.Store, entry, nil)
}

// Deliveries are the last ones, the newest first, of one target or of all for "".
func (s *Service) Deliveries(ctx context.Context, name string) ([]gate.NotificationDelivery, error) {
	all, err := s.All(ctx)
	if err != nil {
		return nil, err
	}
	out := []gate.NotificationDelivery{}
	known := name == ""
	for _, d := range all {
		if name != "" && d.Name != name {
			continue
		}
		known = true
		list, err := loadLog(ctx, s.Store, d.Name)
		if err != nil {
			return nil, err
		}
		for _, l := range list {
			l.Kept = l.Message != nil
			out = append(out, l.NotificationDelivery)
		}
	}
	if !known {
		return nil, noTarget(name)
	}
	slices.SortStableFunc(out, func(a, b gate.NotificationDelivery) int { return b.TriedAt.Compare(a.TriedAt) })
	return out, nil
}

// Redeliver puts a message that is kept back into the queue of its target, under the same
// id, and returns how it stands. gate.ErrNotFound: there is none with this id, or its
// message is not kept any more; gate.ErrConflict: it waits already, or the queue is full.
func (s *Service) Redeliver(ctx context.Context, id string) (gate.NotificationDelivery, error) {
	all, err := s.All(ctx)
	if err != nil {
		return gate.NotificationDelivery{}, err
	}
	for _, d := range all {
		list, err := loadLog(ctx, s.Store, d.Name)
		if err != nil {
			return gate.NotificationDelivery{}, err
		}
		i := slices.IndexFunc(list, func(l logged) bool { return l.ID == id })
		if i < 0 {
			continue
		}
		if list[i].Message == nil {
			return gate.NotificationDelivery{}, gate.Refuse(gate.ErrNotFound, "the message of the delivery %s is no longer kept, or it was a test, so that it cannot be sent again", gate.Quoted(id, 70))
		}
		return s.again(ctx, d.Name, list[i])
	}
	return gate.NotificationDelivery{}, gate.Refuse(gate.ErrNotFound, "there is no delivery %s; \"digestgate notifications deliveries\" lists them", gate.Quoted(id, 70))
}

func (s *Service) again(ctx context.Context, name string, l logged) (gate.NotificationDelivery, error) {
	now, why := s.Now(), ""
	_, err := updateState(ctx, s.Store, name, func(st *state) bool {
		why = ""
		i := slices.IndexFunc(st.Queue, func(q queued) bool { return q.Message.ID == l.ID })
		switch {
		case i >= 0:
			why = "it already waits to be delivered"
			return false
		case len(st.Queue) >= MaxQueue:
			why = fmt.Sprintf("%d messages already wait for the target", MaxQueue)
			return false
		}
		st.Queue = append(st.Queue, queued{Message: *l.Message, QueuedAt: now})
		return true
	})
	if err == nil && why != "" {
		err = gate.Refuse(gate.ErrConflict, "the message %s is not queued again: %s", gate.Quoted(l.ID, 70), why)
	}
	if err != nil {
		return gate.NotificationDelivery{}, err
	}
	v := l.NotificationDelivery
	v.Outcome, v.Kept, v.Reason = Waiting, true, ""
	return v, nil
}
