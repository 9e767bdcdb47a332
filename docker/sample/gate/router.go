package gate

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/goverse/sample/internal/backoff"
	"example.com/goverse/sample/internal/cluster"
	"example.com/goverse/sample/internal/metrics"
	goversepb "example.com/goverse/sample/proto"
)

const (
	callTimeout = 20 * time.Second
	maxAttempts = 6
)

var callRetry = backoff.Policy{First: 50 * time.Millisecond, Max: time.Second}

// router sends each call to the node that owns the object.
type router struct {
	watcher *cluster.Watcher
	links   *links
	shards  int
	metrics *metrics.Gate
}

func (r *router) CallObject(ctx context.Context, request *goversepb.CallObjectRequest) (*goversepb.CallObjectResponse, error) {
	return route(ctx, r, "call", request, goversepb.GoverseClient.CallObject)
}

func (r *router) CreateObject(ctx context.Context, request *goversepb.CreateObjectRequest) (*goversepb.CreateObjectResponse, error) {
	return route(ctx, r, "create", request, goversepb.GoverseClient.CreateObject)
}

func (r *router) DeleteObject(ctx context.Context, request *goversepb.DeleteObjectRequest) (*goversepb.DeleteObjectResponse, error) {
	return route(ctx, r, "delete", request, goversepb.GoverseClient.DeleteObject)
}

// route tries the owner, then the node that would own the object if the owner
// were gone, and so on: a node that died is listed until its lease expires.
// Only Unavailable is retried. A node that dies in mid-call may have run the
// method, so delivery is at least once; one that drains finishes its calls.
func route[Q interface{ GetId() string }, A any](
	ctx context.Context, r *router, operation string, request Q,
	call func(goversepb.GoverseClient, context.Context, Q, ...grpc.CallOption) (A, error),
) (A, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	shard := cluster.ShardOf(request.GetId(), r.shards)
	var answer A
	err := status.Error(codes.Unavailable, "no node is ready")
	tried := make(map[string]bool)
	for attempt, waits := 0, 0; attempt < maxAttempts; attempt++ {
		address, ok := r.pick(shard, tried)
		if !ok {
			// Every node has been tried, or there is none: wait for a change.
			if !r.pause(ctx, waits) {
				break
			}
			waits++
			clear(tried)
			continue
		}
		tried[address] = true
		client, release, ok := r.links.acquire(address)
		if !ok {
			continue // the view is newer than the links
		}
		answer, err = call(client, ctx, request)
		release()
		if status.Code(err) != codes.Unavailable {
			break
		}
	}
	r.metrics.Duration.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	if status.Code(err) == codes.DeadlineExceeded {
		r.metrics.Timeouts.WithLabelValues(operation).Inc()
	}
	return answer, err
}

// pick is the best node for a shard that has not been tried.
func (r *router) pick(shard int, tried map[string]bool) (string, bool) {
	view, _ := r.watcher.View()
	for _, node := range cluster.Rank(shard, view.Ready()) {
		if !tried[node.Address] {
			return node.Address, true
		}
	}
	return "", false
}

// pause waits for the cluster to change, at most as long as the retry policy
// says. It is false when the call has no time left.
func (r *router) pause(ctx context.Context, waits int) bool {
	timer := time.NewTimer(callRetry.Delay(waits))
	defer timer.Stop()
	select {
	case <-r.watcher.Changed():
		return true
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
