// Package fanout hands each published value to every subscriber, without ever
// letting a slow subscriber hold up the publisher.
package fanout

import "sync"

// Hub is ready to use as its zero value.
type Hub[T any] struct {
	mu     sync.Mutex
	closed bool
	subs   map[chan T]struct{}
}

// Subscribe returns a channel of later values, and a function that ends the
// subscription. The channel is closed when the hub is. When buffer values are
// waiting in it, further ones are dropped.
func (h *Hub[T]) Subscribe(buffer int) (<-chan T, func()) {
	ch := make(chan T, buffer)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(ch)
		return ch, func() {}
	}
	if h.subs == nil {
		h.subs = make(map[chan T]struct{})
	}
	h.subs[ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, ch)
	}
}

// Publish says how many subscribers were handed the value, and how many missed
// it because they were too slow.
func (h *Hub[T]) Publish(value T) (delivered, dropped int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.subs {
		select {
		case ch <- value:
			delivered++
		default:
			dropped++
		}
	}
	return delivered, dropped
}

// Len is the number of subscribers.
func (h *Hub[T]) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}

// Close ends every subscription, now and in future.
func (h *Hub[T]) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for ch := range h.subs {
		close(ch)
	}
	clear(h.subs)
}
