package cluster

import (
	"context"
	"errors"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"example.com/goverse/sample/internal/backoff"
)

const listTimeout = 5 * time.Second

var retry = backoff.Policy{First: 200 * time.Millisecond, Max: 5 * time.Second}

// store is the part of an etcd client that a Watcher reads.
type store interface {
	Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error)
	Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan
}

// Watcher follows the cluster. While etcd cannot be reached it keeps the last
// view: the nodes in it most likely still serve.
type Watcher struct {
	table  *table
	store  store
	prefix string
	log    *slog.Logger
	// OnReconnect, if set before Run, is called when a watch has to start over.
	OnReconnect func()
}

// NewWatcher does nothing until Run.
func NewWatcher(client store, prefix string, log *slog.Logger) *Watcher {
	return &Watcher{table: newTable(prefix), store: client, prefix: prefix, log: log, OnReconnect: func() {}}
}

// View is the latest picture, and whether there has been one yet.
func (w *Watcher) View() (View, bool) {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	return w.table.view, w.table.loaded
}

// Changed returns a channel that is closed at the next change. Take it before
// View, so as to miss none.
func (w *Watcher) Changed() <-chan struct{} {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	return w.table.changed
}

// AwaitStable returns nil once accept likes the view and no node has come or
// gone for the window, or the context's error. accept must depend on nothing but
// the view: only a change of that makes it be asked again.
func (w *Watcher) AwaitStable(ctx context.Context, window time.Duration, accept func(View) bool) error {
	for {
		w.table.mu.Lock()
		view, loaded, settled, changed := w.table.view, w.table.loaded, w.table.settled, w.table.changed
		w.table.mu.Unlock()

		var elapsed <-chan time.Time
		if loaded && accept(view) {
			left := window - time.Since(settled)
			if left <= 0 {
				return nil
			}
			elapsed = time.After(left)
		}
		select {
		case <-changed:
		case <-elapsed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Run follows the cluster until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		listed, err := w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if listed {
			attempt = 0
			w.OnReconnect()
		}
		w.log.Warn("lost sight of the cluster, listing it again", "error", err)
		if retry.Wait(ctx, attempt) != nil {
			return
		}
	}
}

// follow lists the cluster and watches from that revision on. It returns when
// the watch cannot go on: also on compaction, which a new listing gets over.
func (w *Watcher) follow(ctx context.Context) (listed bool, err error) {
	listCtx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	listing, err := w.store.Get(listCtx, folder(w.prefix), clientv3.WithPrefix())
	if err != nil {
		return false, err
	}
	changes := make([]change, len(listing.Kvs))
	for i, kv := range listing.Kvs {
		changes[i] = change{string(kv.Key), kv.Value}
	}
	w.table.replace(listing.Header.Revision, changes)

	// A cancelled watch is otherwise left open in the client. An etcd member
	// cut off from its leader would be silent; WithRequireLeader ends it.
	watchCtx, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer stop()
	watch := w.store.Watch(watchCtx, folder(w.prefix), clientv3.WithPrefix(), clientv3.WithRev(listing.Header.Revision+1))
	for response := range watch {
		if err := response.Err(); err != nil {
			return true, err
		}
		changes := make([]change, 0, len(response.Events))
		for _, event := range response.Events {
			c := change{key: string(event.Kv.Key)}
			if event.Type == clientv3.EventTypePut {
				c.value = event.Kv.Value
			}
			changes = append(changes, c)
		}
		if len(changes) > 0 {
			w.table.apply(response.Header.Revision, changes)
		}
	}
	return true, errors.New("watch closed")
}
