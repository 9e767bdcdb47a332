package node

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/goverse/sample/internal/cluster"
	"example.com/goverse/sample/internal/fanout"
	"example.com/goverse/sample/internal/metrics"
	goversepb "example.com/goverse/sample/proto"
)

type objectKey struct{ kind, id string }

// hosted is an object and its turn: a call holds the turn's one token.
type hosted struct {
	object Object
	turn   chan struct{}
}

// host is the objects of a node, in memory only: what a lost node knew is lost.
type host struct {
	factories map[string]Factory
	metrics   *metrics.Node
	events    *fanout.Hub[*goversepb.Event]
	log       *slog.Logger

	mu      sync.Mutex
	objects map[objectKey]*hosted
}

// call runs a method, on a new object if there is none yet.
func (h *host) call(ctx context.Context, key objectKey, name string, payload *anypb.Any) (_ *anypb.Any, err error) {
	object, _, err := h.get(key)
	if err != nil {
		return nil, err
	}
	method, ok := object.object[name]
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "%s has no method %q", key.kind, name)
	}
	start := time.Now()
	defer func() {
		h.metrics.CallDuration.WithLabelValues(key.kind, name).Observe(time.Since(start).Seconds())
		h.metrics.Calls.WithLabelValues(key.kind, name, status.Code(err).String()).Inc()
	}()
	select {
	case object.turn <- struct{}{}:
		defer func() { <-object.turn }()
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	defer func() {
		if cause := recover(); cause != nil {
			h.log.Error("method panicked", "type", key.kind, "id", key.id, "method", name,
				"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = status.Errorf(codes.Internal, "%s.%s panicked", key.kind, name)
		}
	}()
	return method.invoke(ctx, payload)
}

// get returns an object, made now if there is none.
func (h *host) get(key objectKey) (object *hosted, created bool, err error) {
	factory, ok := h.factories[key.kind]
	if !ok {
		return nil, false, status.Errorf(codes.NotFound, "no object type %q", key.kind)
	}
	if key.id == "" {
		return nil, false, status.Error(codes.InvalidArgument, "no object id")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if object, ok := h.objects[key]; ok {
		return object, false, nil
	}
	object = &hosted{object: factory(key.id, h.publisher(key)), turn: make(chan struct{}, 1)}
	h.objects[key] = object
	h.metrics.Objects.WithLabelValues(key.kind).Inc()
	return object, true, nil
}

func (h *host) delete(key objectKey) (existed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, existed = h.objects[key]; existed {
		delete(h.objects, key)
		h.metrics.Objects.WithLabelValues(key.kind).Dec()
	}
	return existed
}

// keepOwned drops the objects that now belong to other nodes, lest they come
// back stale when their shard does.
func (h *host) keepOwned(self string, nodes []cluster.Member, shards int) {
	for _, key := range h.keys() {
		if owner, ok := cluster.Owner(cluster.ShardOf(key.id, shards), nodes); ok && owner != self && h.delete(key) {
			h.log.Info("object moved away", "type", key.kind, "id", key.id, "owner", owner)
		}
	}
}

func (h *host) keys() []objectKey {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := make([]objectKey, 0, len(h.objects))
	for key := range h.objects {
		keys = append(keys, key)
	}
	return keys
}

func (h *host) publisher(key objectKey) Publish {
	return func(name string, payload proto.Message) {
		fields, err := toStruct(payload)
		if err != nil {
			h.log.Error("event not sent", "type", key.kind, "id", key.id, "event", name, "error", err)
			return
		}
		delivered, dropped := h.events.Publish(&goversepb.Event{
			Type: key.kind, Id: key.id, Name: name, Payload: fields,
		})
		h.metrics.PushedMessages.Add(float64(delivered))
		h.metrics.DroppedMessages.Add(float64(dropped))
	}
}
