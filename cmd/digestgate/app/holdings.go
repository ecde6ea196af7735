package app

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/match"
)

// openHoldings opens what the catalog knows of the contents of images, and what finds
// out by it which findings stand in new advisory data.
func (a *App) openHoldings(c *catalog.Catalog) {
	a.holdings = c.Holdings(catalog.HoldingsOptions{
		Contents: a.Store, Lookups: a.Matcher.Lookups, Again: a.Matcher.LookupsAgain,
		Format: strconv.Itoa(match.LookupsFormat) + " " + a.Matcher.Version(),
	})
	a.Standing.Stored = a.holdings.Told
	a.swept = standing.NewMetrics(a.Metrics, a.Standing.Lifts)
	a.lifter = &standing.Lifter{
		Lifts: a.Standing.Lifts, Matcher: a.Matcher, Holdings: a.holdings, Active: a.Advisories.Active, Touched: a.touched,
		Store: a.Store, Shared: a.Config.Store.Shared(), Now: time.Now, Log: a.Log,
	}
}

// loadAhead gives advisory data to the matcher when it is known what is different in it.
type loadAhead struct{ *App }

// Load implements advisory.Loader.
func (l loadAhead) Load(ctx context.Context, dir string, g gate.Generation) error {
	if l.Standing == nil { // at the start, when there is no data before
		return l.Matcher.Load(ctx, dir, g)
	}
	ahead := standing.Ahead{Loader: l.Matcher, Standing: l.Standing, Active: l.Advisories.Active, Lift: func(ctx context.Context, g gate.Generation) error {
		return l.Standing.Lifts.Await(ctx, l.Store, g, l.Matcher.Version())
	}}
	if l.lifter != nil {
		ahead.Lift = l.lifter.LiftTo
	}
	return ahead.Load(ctx, dir, g)
}

// touched compares two contents of advisory data of which this process has copies.
func (a *App) touched(ctx context.Context, former, now gate.Digest) (gate.Touched, error) {
	var d advisory.Difference
	if former != now {
		before, ok := a.Advisories.Dir(former)
		if !ok {
			return gate.Touched{}, fmt.Errorf("this process has no copy of the former advisory data %s: %w", former.Short(), gate.ErrNotFound)
		}
		after, ok := a.Advisories.Dir(now)
		if !ok {
			return gate.Touched{}, fmt.Errorf("this process has no copy of the advisory data %s: %w", now.Short(), gate.ErrNotFound)
		}
		var err error
		if d, err = advisory.Diff(ctx, before, after); err != nil {
			return gate.Touched{}, err
		}
	}
	return match.Touched(ctx, d), nil
}
