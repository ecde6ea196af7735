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
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
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
	var archives archiveDifference
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
		if archives, err = differentIndices(ctx, before, after); err != nil {
			return gate.Touched{}, err
		}
	}
	t := match.Touched(ctx, d)
	t.Package, t.Release = archives.touched, archives.close
	return t, nil
}

// archiveDifference tells which archives another index of Java archives names otherwise. Its
// zero value tells of none.
type archiveDifference struct {
	touched func(key string) bool
	close   func()
}

// differentIndices opens the indices of two generations where they are not the same.
func differentIndices(ctx context.Context, before, after string) (archiveDifference, error) {
	var places [2]string
	for i, dir := range [...]string{before, after} {
		place, _, err := advisory.JavaDir(dir)
		if err != nil {
			return archiveDifference{}, err
		}
		places[i] = place
	}
	if places[0] == places[1] {
		return archiveDifference{}, nil
	}
	var open [2]*javaindex.Index
	shut := func() {
		for _, x := range open {
			if x != nil {
				_ = x.Close() // read-only: nothing can be lost
			}
		}
	}
	for i, place := range places {
		if place == "" {
			continue
		}
		var err error
		if open[i], err = javaindex.Open(place); err != nil {
			shut()
			return archiveDifference{}, err
		}
	}
	return archiveDifference{match.TouchedArchives(ctx, open[0], open[1]), shut}, nil
}
