// Package backoff spaces out retries.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Policy doubles the delay from First up to Max.
type Policy struct {
	First, Max time.Duration
}

// Delay is how long to wait after the given number of earlier waits. It is
// jittered by half, so that programs that failed together do not retry
// together.
func (p Policy) Delay(attempt int) time.Duration {
	d := p.First
	for range attempt {
		if d >= p.Max/2 {
			d = p.Max
			break
		}
		d *= 2
	}
	return d/2 + rand.N(d/2+1)
}

// Wait sleeps for Delay(attempt), or until ctx ends, in which case it returns
// the context's error.
func (p Policy) Wait(ctx context.Context, attempt int) error {
	timer := time.NewTimer(p.Delay(attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
