package scantask

import "time"

// allowed is how many images may begin now by the rate, at most most; otherwise wait is
// when to ask again.
func (w *walk) allowed(most int) (n int, wait time.Duration) {
	if w.t.Rate == 0 {
		return most, 0
	}
	if wait := w.t.NextAt.Sub(w.now); wait > 0 {
		return 0, wait
	}
	return min(most, max(1, int(time.Duration(w.t.Rate)*pace/time.Hour))), 0
}

// begin notes that images have begun.
func (w *walk) begin(n int) {
	if w.t.Rate == 0 {
		return
	}
	if w.t.NextAt.Before(w.now) {
		w.t.NextAt = w.now
	}
	w.t.NextAt = w.t.NextAt.Add(time.Duration(n) * time.Hour / time.Duration(w.t.Rate))
}
