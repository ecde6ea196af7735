package main

import (
	"context"
	"fmt"
	"os"

	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// openPolicies loads the policies in force: of its own files on a store of its
// own, of all processes on a shared one.
func (a *app) openPolicies(ctx context.Context) error {
	if !a.needs(partPolicies) {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	maxAge := a.config.Advisories.MaxAge
	if a.config.Advisories.Stale == advisory.StaleAllow {
		maxAge = 0
	}
	o := policy.Options{
		Config: a.config.Policy, Risks: a.config.Scan.Risks, MaxAge: maxAge, DenyStale: a.config.Advisories.Stale == advisory.StaleDeny,
		Trial: policy.ChildTrial(policy.DefaultBudget, self, policyTrialName), Log: a.log,
		Store: a.store, Shared: a.config.Store.Shared(), Observe: a.asking,
		Place: a.config.storePlace(), DataDir: a.config.DataDir, Process: processName(), Program: a.version,
	}
	if a.policies, err = policy.New(ctx, o); err != nil {
		return err
	}
	a.policies.Describe(a.metrics)
	return nil
}

// storePlace names the store among all that a data directory may have seen.
func (c Config) storePlace() string { return c.Store.URL + " " + c.Store.Prefix }

// processName tells people which process did something for all.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}
