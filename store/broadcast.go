package store

import "sync"

// Broadcast wakes all who wait for the next change; see Feed.Changed. It is safe for
// concurrent use.
type Broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// NewBroadcast makes one.
func NewBroadcast() *Broadcast { return &Broadcast{ch: make(chan struct{})} }

// Wait returns a channel that is closed by the next Signal.
func (b *Broadcast) Wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

// Signal wakes all who wait.
func (b *Broadcast) Signal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}
