package advisory

import "context"

// Hold gives a bucket of next the rows that former has.
func Hold(ctx context.Context, next, former *Database, bucket string) (*Database, error) {
	return compose(ctx, next, former, []BucketFinding{{Bucket: bucket, Reason: "refused"}})
}

// OnStep has each step of taking data into use announced that a crash may come before.
func (m *Manager) OnStep(f func(name string)) { m.copies.step = f }

// OnFree answers how much room there is on the disk.
func (m *Manager) OnFree(f func(dir string) (int64, bool)) { m.copies.free = f }

// Tick is what a process does in each tick.
func (r *Refresher) Tick(ctx context.Context) {
	if s, ok := r.tick(ctx); ok {
		r.turn(ctx, s)
	}
}
