package faults_test

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// checkState: every image of the registry has an inventory and findings, and was
// charged once; nothing is left in the queue.
func (c *checker) checkState(n *node, s *site) {
	ctx := c.Context()
	w := world{n.World}
	res, err := n.store.Read(ctx, gate.ReadRequest{Digests: w.digests()})
	if err != nil {
		c.Fatal(err)
	}
	for d, entry := range res.Digests {
		switch charge, err := n.store.Charged(ctx, d); {
		case err != nil:
			c.Fatal(err)
		case entry.Record.InventoryID == "" || entry.Record.FindingsOf != entry.Record.InventoryID:
			c.violated("image "+string(d)+" is lost: it was synchronised, and has no inventory with findings", event{Digest: d})
			return
		case !charge.Served:
			c.violated("image "+string(d)+" is analysed and not charged", event{Digest: d})
			return
		case len(c.commits[string(d)+entry.Record.InventoryID]) == 0:
			c.violated("image "+string(d)+" has an inventory that nobody stored", event{Digest: d})
			return
		}
		c.counts["unique digests"]++
	}
	phantoms := w.phantoms()
	_, err = n.store.Scan(ctx, func(item store.Item) error {
		if item.Job == nil {
			return nil
		}
		c.counts["jobs in the end "+string(item.Job.State)]++
		gone := phantoms[item.Job.Digest] && item.Job.Kind == gate.JobAnalyze && item.Job.State == gate.JobFailed
		if item.Job.State != gate.JobDone && !gone {
			c.violated("job "+item.Job.ID+" is "+string(item.Job.State)+": "+item.Job.Error, event{Job: item.Job.ID})
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	used, charges, periods, err := accounts(ctx, s, n.Store.Prefix)
	if err != nil {
		c.Fatal(err)
	}
	c.counts["charges"], c.counts["used in all periods"], c.counts["periods"] = charges, used, periods
	if charges != w.n || used != w.n {
		c.Errorf("%d digests, %d charges, %d used in %d periods", w.n, charges, used, periods)
	}
}

// accounts are the sums of what is charged.
func accounts(ctx context.Context, s *site, prefix string) (used, charges, periods int, err error) {
	base := "{" + prefix + "}:"
	n, err := s.client.HLen(ctx, base+"charges").Result()
	if err != nil {
		return 0, 0, 0, err
	}
	visit := func(ctx context.Context, c *redis.Client) error {
		keys := c.Scan(ctx, 0, "*", 1000).Iterator()
		for keys.Next(ctx) {
			if !strings.HasPrefix(keys.Val(), base+"quota:") {
				continue
			}
			n, err := c.HGet(ctx, keys.Val(), "used").Int()
			if err != nil && err != redis.Nil {
				return err
			}
			used += n
			if n > 0 {
				periods++
			}
		}
		return keys.Err()
	}
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		node, err := c.MasterForKey(ctx, base+"charges")
		if err != nil {
			return 0, 0, 0, err
		}
		err = visit(ctx, node)
		return used, int(n), periods, err
	case *redis.Client:
		err = visit(ctx, c)
	}
	return used, int(n), periods, err
}
