package app

import (
	"context"
	"fmt"
	"os"

	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// openPolicies loads the policies in force. On a store that belongs to this process
// they come from its files; on a shared store all processes agree on them.
func (a *App) openPolicies(ctx context.Context) error {
	if !a.needs(partPolicies) {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	maxAge := a.Config.Advisories.MaxAge
	if a.Config.Advisories.Stale == advisory.StaleAllow {
		maxAge = 0
	}
	o := policy.Options{
		Config: a.Config.Policy, Risks: a.Config.Scan.Risks, MaxAge: maxAge, DenyStale: a.Config.Advisories.Stale == advisory.StaleDeny,
		RefuseAge: a.Config.Advisories.RefuseAge, Watched: a.Config.Kubernetes.Watch,
		Trial: policy.ChildTrial(policy.DefaultBudget, self, PolicyTrialName), Log: a.Log,
		Store: a.Store, Shared: a.Config.Store.Shared(), Observe: a.Asking,
		Place: a.Config.storePlace(), DataDir: a.Config.DataDir, Process: ProcessName(), Program: a.Version,
	}
	if a.Advisories != nil {
		o.Accepted = a.Advisories.Accepted
	}
	if a.policies, err = policy.New(ctx, o); err != nil {
		return err
	}
	a.policies.Describe(a.Metrics)
	return nil
}

// storePlace names the store among all that a data directory may have seen.
func (c Config) storePlace() string { return c.Store.URL + " " + c.Store.Prefix }

// ProcessName tells people which process did something for all.
func ProcessName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}
