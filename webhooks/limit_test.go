package webhooks

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

// TestLimits: a sender reaches the limits that the page names and that hold when none is
// configured; beyond them it is told when to send again, and is taken then. New limits hold
// from the moment at which the configuration is read again.
func TestLimits(t *testing.T) {
	clock := time.Now()
	config := DefaultConfig()
	config.Auth = AuthNone
	h := handler(t, config, queueAll, Options{Now: func() time.Time { return clock }})
	taken := func(most int) (n int, wait time.Duration) {
		t.Helper()
		for range most {
			w := serve(h, "POST", "/webhooks/prod", `{"tags":["1.0"]}`)
			if w.Code == http.StatusTooManyRequests {
				seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
				if err != nil || seconds < 1 {
					t.Fatalf("429 with Retry-After %q", w.Header().Get("Retry-After"))
				}
				return n, time.Duration(seconds) * time.Second
			}
			if w.Code != http.StatusAccepted {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			n++
		}
		return n, 0
	}
	n, wait := taken(20_000)
	if n != 10_000 || wait == 0 {
		t.Errorf("at once: %d were taken, want 10,000", n)
	}
	clock = clock.Add(wait)
	if n, _ := taken(20_000); n != int(wait.Seconds())*1000 {
		t.Errorf("after %s: %d were taken, want 1,000 for each second", wait, n)
	}
	config.DeliveriesPerSecond, config.Burst = 2, 3
	h.Replace(handler(t, config, queueAll, Options{}))
	clock = clock.Add(time.Minute)
	if n, _ := taken(100); n != 3 {
		t.Errorf("with a burst of 3: %d were taken", n)
	}
	config.DeliveriesPerSecond, config.Burst = 0, 0
	h.Replace(handler(t, config, queueAll, Options{}))
	if n, _ := taken(15_000); n != 15_000 {
		t.Errorf("without a limit: %d were taken", n)
	}
}
