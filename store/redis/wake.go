package redis

import (
	"context"
	"time"
)

// wakeEvery bounds how often messages from other processes wake this one: a
// burst of pushes wakes it a few times, not once for each.
const wakeEvery = 20 * time.Millisecond

// listenAgain is how long to wait before the channel is subscribed again.
const listenAgain = time.Second

// listen wakes those who wait in this process when another one has appended to
// the feed. Messages carry nothing and may get lost: whoever waits polls too.
func (s *Store) listen(ctx context.Context) {
	for ctx.Err() == nil {
		s.subscribed(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(listenAgain):
		}
	}
}

func (s *Store) subscribed(ctx context.Context) {
	sub := s.client.Subscribe(ctx, s.keys.changed())
	messages := sub.Channel()
	defer func() {
		_ = sub.Close() // nothing was written
		for range messages {
			// The client waits up to a minute for somebody to take a message.
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-messages:
			if !ok {
				return
			}
		}
		s.feed.Signal()
		select {
		case <-ctx.Done():
			return
		case <-time.After(wakeEvery):
		}
		if drain(messages) {
			s.feed.Signal() // who was woken above may have looked before these
		}
	}
}

// drain takes what waits in a channel and reports whether there was anything.
func drain[T any](ch <-chan T) (some bool) {
	for {
		select {
		case _, ok := <-ch:
			if !ok {
				return some
			}
			some = true
		default:
			return some
		}
	}
}

// changedHere wakes those who wait in this process at once.
func (s *Store) changedHere() { s.feed.Signal() }

// Changed returns a channel that is closed at the next change. Changes made by
// other processes are told by a message, which may be late or get lost.
func (s *Store) Changed() <-chan struct{} { return s.feed.Wait() }
