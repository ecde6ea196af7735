package app

import (
	"log/slog"
	"time"
)

// wait is something that a start may have to wait for, and how long that
// usually takes on two cores: the store and the policies as measured, the others
// as estimated from single starts.
type wait struct{ what, usually string }

// The waits of a start, in their order.
var (
	waitStore      = wait{"the store to open", "less than 1 s; a Redis that does not answer ends the start after 10 s"}
	waitRegistries = wait{"the registries' settings", "less than 1 s"}
	waitAdvisories = wait{"the advisory data to be copied, checked and loaded", "1 s for each 50 MB, when it is new"}
	waitPolicies   = wait{"the policies to be tried in a child", "less than 2 s"}
	waitAnalyzer   = wait{"the analyser's probe child to report what it can reach", "less than 5 s"}
	waitCallers    = wait{"API servers to believe the certificate of admission", "less than 5 s; the start continues after 30 s in any case"}
	waitCatalog    = wait{"the lists to be opened", "less than 1 s; they are built while the server serves"}
)

const (
	// silentFor is how long nothing is said: most steps are over by then.
	silentFor = 2 * time.Second
	// RemindEvery is how often a long wait says that it continues.
	RemindEvery = 15 * time.Second
)

// during runs a step and says in the log what is waited for when it takes long.
func during(log *slog.Logger, w wait, step func() error) error {
	started, done, told := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		timer := time.NewTimer(silentFor)
		defer timer.Stop()
		for {
			select {
			case <-done:
				return
			case <-timer.C:
				log.Info("waiting", "for", w.what, "usually", w.usually, "waited", time.Since(started).Round(time.Second))
				timer.Reset(RemindEvery)
			}
		}
	}()
	err := step()
	close(done)
	<-told
	return err
}
