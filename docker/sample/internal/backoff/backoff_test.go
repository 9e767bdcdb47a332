package backoff

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestDelayGrowsToMax(t *testing.T) {
	p := Policy{First: 100 * time.Millisecond, Max: time.Second}
	for attempt, most := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		most *= time.Millisecond
		for range 100 {
			if d := p.Delay(attempt); d < most/2 || d > most {
				t.Fatalf("Delay(%d) = %v, want between %v and %v", attempt, d, most/2, most)
			}
		}
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := Policy{First: time.Hour, Max: time.Hour}
	if err := p.Wait(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Fatalf("Wait = %v, want %v", err, context.Canceled)
	}
}
