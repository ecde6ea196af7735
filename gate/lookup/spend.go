package lookup

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// overspent is the budget that is used up, "" for none.
type overspent string

const (
	overNamespace overspent = "namespace"
	overNewcomers overspent = "newcomers" // all namespaces without an admitted image
	overAll       overspent = "all"
)

// spend takes one from what a namespace, and all namespaces of its cluster, may
// queue within the hour. Who asks for the same job again has paid: controllers
// repeat themselves while a scan is pending or has failed, and would use up what
// is there for new digests.
func (l *Lookup) spend(ctx context.Context, job gate.JobRequest) (overspent, error) {
	if l.options.NewDigestsPerHour <= 0 && l.options.NewDigestsPerHourTotal <= 0 {
		return "", nil
	}
	key := askedKey(sha256.Sum256([]byte(job.Cluster + "\n" + job.Namespace + "\n" + string(job.Kind) + "\n" + job.Key())))
	over, err, _ := l.spending.Do(string(key[:]), func() (any, error) {
		now := l.parts.Now()
		if at, ok := l.asked.GetIfPresent(key); ok && now.Sub(at).Abs() < spendWindow {
			return overspent(""), nil
		}
		over, err := l.take(ctx, job.Cluster, job.Namespace, now)
		if over == "" && err == nil {
			l.asked.Set(key, now)
		}
		return over, err
	})
	which, _ := over.(overspent)
	return which, err
}

// The names of the common budgets, before that of the cluster.
const (
	newcomersBudget = "admission-newcomers/"
	totalBudget     = "admission-total/"
)

// askedKey is a hash, so that keys weigh the same.
type askedKey [sha256.Size]byte

// take takes one from each budget that a namespace draws on, its own first: one
// that has used up its own takes nothing from the others.
func (l *Lookup) take(ctx context.Context, cluster, namespace string, now time.Time) (overspent, error) {
	newcomer := !l.options.Established.Has(cluster, namespace)
	total, half := l.options.NewDigestsPerHourTotal, (l.options.NewDigestsPerHourTotal+1)/2
	// The name of a namespace has no slash.
	of := "admission/"
	if cluster != "" && cluster != "default" {
		of += cluster + "/"
	}
	// Asked before anything is taken, so that invented namespaces leave no budget
	// of their own behind once there is nothing left for them.
	switch {
	case total <= 0:
	case newcomer && l.usedUp.is(newcomersBudget+cluster, now):
		return overNewcomers, nil
	case l.usedUp.is(totalBudget+cluster, now):
		return overAll, nil
	}
	return l.takeEach(ctx, of+namespace, cluster, newcomer, half, now)
}

// takeEach is take once no budget is known to be used up.
func (l *Lookup) takeEach(ctx context.Context, own, cluster string, newcomer bool, half int, now time.Time) (overspent, error) {
	total := l.options.NewDigestsPerHourTotal
	if limit := l.options.NewDigestsPerHour; limit > 0 {
		if ok, err := l.parts.Budget.Spend(ctx, own, limit, spendWindow); err != nil || !ok {
			return overNamespace, err
		}
	}
	if total <= 0 {
		return "", nil
	}
	if newcomer {
		name := newcomersBudget + cluster
		if ok, err := l.parts.Budget.Spend(ctx, name, half, spendWindow); err != nil || !ok {
			l.usedUp.note(name, err, now)
			return overNewcomers, err
		}
	}
	name := totalBudget + cluster
	if ok, err := l.parts.Budget.Spend(ctx, name, total, spendWindow); err != nil || !ok {
		l.usedUp.note(name, err, now)
		return overAll, err
	}
	return "", nil
}

// usedUp remembers the common budgets that are used up until their window ends:
// as many as there are clusters, twice.
type usedUp struct {
	mu sync.Mutex
	in map[string]time.Time // start of the window
}

func (u *usedUp) is(name string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, ok := u.in[name]
	return ok && at.Equal(now.UTC().Truncate(spendWindow))
}

func (u *usedUp) note(name string, err error, now time.Time) {
	if err != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.in == nil {
		u.in = map[string]time.Time{}
	}
	u.in[name] = now.UTC().Truncate(spendWindow)
}
