package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/history"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/gate/quota"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/store/redis"
)

// openNotify makes the targets of notifications, for the process that sends and for the
// API. Without a key the gate works, and no target can be set at run time.
func (a *App) openNotify() error {
	allow, err := outbound.ParseAllow(a.Config.Outbound.Allow)
	if err != nil {
		return err
	}
	keys, err := a.notifyKeys()
	if err != nil {
		a.Log.Warn("the key that seals the secrets of notification targets cannot be used, only targets of the configuration file work", "error", err)
	}
	a.targets = &notify.Targets{
		Maker: notify.Maker{Vendors: Notifiers(), Allow: allow, Link: a.Config.HTTP.ExternalURL, Now: time.Now},
		File:  a.Config.Notifications, Store: a.Store, Keys: keys,
	}
	if a.has(roleScheduler) { // it sends while it is this process's turn
		a.notifier = &notify.Engine{
			Store: a.Store, Source: notified{a}, Conditions: a.conditions, Targets: a.targets,
			Metrics: notify.NewMetrics(a.Metrics), Log: a.Log, Now: time.Now,
		}
	}
	return nil
}

// notifyKeys seal the secrets of targets that are set at run time: the keys of a shared
// store, otherwise one of the data directory, which is made when there is none. Reading the
// store is not enough to get the secrets.
func (a *App) notifyKeys() ([][]byte, error) {
	if a.Config.Store.Shared() {
		return redis.ReadKeys(a.Config.Store.MACKeyFile)
	}
	path := filepath.Join(a.Config.DataDir, "notify.key")
	err := gate.PrivateFile(path)
	var key []byte
	if err == nil {
		key, err = os.ReadFile(path)
	}
	if err == nil && len(key) == 0 {
		key = []byte(rand.Text() + rand.Text())
		err = os.WriteFile(path, key, 0o600)
	}
	if err == nil && len(key) < gate.MinSecret {
		key, err = nil, fmt.Errorf("%s is shorter than %d bytes; remove it, and set the targets again: %w", gate.Quoted(path, 200), gate.MinSecret, gate.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	return [][]byte{key}, nil
}

// notifications are what the API sees of them.
func (a *App) notifications() api.Notifications {
	return &notify.Service{Targets: a.targets, Now: time.Now}
}

// notified is the history in the order of the change feed.
type notified struct{ *App }

// Newest implements notify.Source.
func (n notified) Newest(ctx context.Context) (int64, error) { return n.Store.Newest(ctx) }

// After implements notify.Source.
func (n notified) After(ctx context.Context, position int64, limit int) ([]gate.StandingChange, int64, error) {
	entries, next, err := history.After(ctx, n.Store, position, limit)
	changes := make([]gate.StandingChange, len(entries))
	for i, e := range entries {
		changes[i] = e.StandingChange
	}
	return changes, next, err
}

// Surroundings implements notify.Source.
func (n notified) Surroundings(ctx context.Context, digests []gate.Digest) (notify.Surroundings, error) {
	s := notify.Surroundings{Places: map[gate.Digest][]gate.Location{}, Running: map[gate.Digest]bool{}}
	res, err := n.Store.Read(ctx, gate.ReadRequest{Digests: digests})
	if err != nil {
		return s, err
	}
	for d, entry := range res.Digests {
		for _, l := range entry.Record.Locations {
			if !l.Gone {
				s.Places[d] = append(s.Places[d], l.Location)
			}
		}
	}
	asked, err := n.Standing.Asked.Look(ctx, n.Store)
	for _, d := range asked {
		s.Running[d] = true
	}
	return s, err
}

// nearEnd is the part of a quota from which on it is near its end.
const nearEnd = 0.9

// conditions are what is not well with the installation.
func (a *App) conditions(ctx context.Context) (list []notify.Condition, err error) {
	q, err := quota.Read(ctx, a.quota, time.Now(), a.Store, a.Catalog)
	if err != nil {
		return nil, err
	}
	list = append(list, quotaCondition(q)...)
	data, err := a.desk().Status(ctx)
	if err != nil {
		return nil, err
	}
	return append(list, staleCondition(a.Config.Advisories, data, time.Now())...), nil
}

func quotaCondition(q quota.State) []notify.Condition {
	c := notify.Condition{Event: notify.EventQuota, Subject: "quota"}
	resets := "it does not renew"
	if !q.ResetsAt.IsZero() {
		resets = "it renews at " + gate.Clock(q.ResetsAt, time.Now())
	}
	switch {
	case q.Limit <= 0 || float64(q.Used) < nearEnd*float64(q.Limit):
		return nil
	case q.Used >= q.Limit:
		c.Level = "used up " + q.Key
		c.Text = fmt.Sprintf("the scan quota is used up: %d of %d digests, %d images wait; %s", q.Used, q.Limit, q.Waiting, resets)
	default:
		c.Level = "near its end " + q.Key
		c.Text = fmt.Sprintf("the scan quota is nearly used up: %d of %d digests; %s", q.Used, q.Limit, resets)
	}
	return []notify.Condition{c}
}

// staleCondition compares the age of the data with the two limits of the configuration.
func staleCondition(c advisory.Config, data gate.AdvisoryData, now time.Time) []notify.Condition {
	at := data.InForce.UpdatedAt
	if data.InForce.Number == 0 || !gate.AgeKnown(at) {
		return nil // an installation that waits for its first data says so elsewhere
	}
	age := now.Sub(at)
	level := ""
	switch {
	case c.RefuseAge > 0 && age > c.RefuseAge:
		level = "refused"
	case c.MaxAge > 0 && age > c.MaxAge:
		level = "old"
	default:
		return nil
	}
	text := fmt.Sprintf("the advisory data in force is of %s, older than %s", gate.Clock(at, now), c.MaxAge)
	if level == "refused" {
		text = fmt.Sprintf("the advisory data in force is of %s, older than advisories.refuseAge (%s): images are refused", gate.Clock(at, now), c.RefuseAge)
	}
	if data.Problem != "" {
		text += "; " + data.Problem
	}
	return []notify.Condition{{Event: notify.EventStale, Subject: "advisories", Level: level, Text: text}}
}

// notifySecrets are the files with secrets of targets.
func (c Config) notifySecrets() []string {
	var files []string
	for _, n := range c.Notifications {
		files = append(files, n.URLFile, n.SecretFile, n.Mail.PasswordFile)
	}
	return append(slices.Clip(files), filepath.Join(c.DataDir, "notify.key"))
}
