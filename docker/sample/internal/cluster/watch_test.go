package cluster

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const prefix = "/goverse"

// fakeStore answers each Get with the next listing, and gives each Watch a
// channel that the test writes to.
type fakeStore struct {
	listings chan []Member
	watches  chan chan clientv3.WatchResponse
}

func newFakeStore() *fakeStore {
	return &fakeStore{make(chan []Member, 8), make(chan chan clientv3.WatchResponse, 8)}
}

func (f *fakeStore) Get(ctx context.Context, _ string, _ ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	select {
	case nodes := <-f.listings:
		response := &clientv3.GetResponse{Header: &pb.ResponseHeader{Revision: 7}}
		for _, node := range nodes {
			response.Kvs = append(response.Kvs, pair(node))
		}
		return response, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fakeStore) Watch(context.Context, string, ...clientv3.OpOption) clientv3.WatchChan {
	watch := make(chan clientv3.WatchResponse, 8)
	f.watches <- watch
	return watch
}

func pair(m Member) *mvccpb.KeyValue {
	value, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return &mvccpb.KeyValue{Key: []byte(Key(prefix, Nodes, m.Address)), Value: value}
}

func event(kind mvccpb.Event_EventType, m Member) clientv3.WatchResponse {
	return clientv3.WatchResponse{Header: &pb.ResponseHeader{Revision: 8}, Events: []*clientv3.Event{{Type: kind, Kv: pair(m)}}}
}

func addresses(w *Watcher) string {
	view, _ := w.View()
	text := ""
	for _, node := range view.Nodes {
		text += node.Address + " "
	}
	return text
}

func run(t *testing.T, store *fakeStore, onReconnect func()) *Watcher {
	w := NewWatcher(store, prefix, slog.New(slog.DiscardHandler))
	w.OnReconnect = onReconnect
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	// The fake never closes a watch by itself, so close them all to end Run.
	t.Cleanup(func() {
		cancel()
		for {
			select {
			case watch := <-store.watches:
				close(watch)
			case <-done:
				return
			}
		}
	})
	return w
}

func TestWatcherFollowsAndListsAgainAfterCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		reconnects := 0
		w := run(t, store, func() { reconnects++ })

		store.listings <- members("a:1")
		watch := <-store.watches
		watch <- event(clientv3.EventTypePut, Member{Address: "b:1"})
		synctest.Wait()
		if got := addresses(w); got != "a:1 b:1 " {
			t.Fatalf("after a put: %s", got)
		}
		watch <- event(clientv3.EventTypeDelete, Member{Address: "a:1"})
		synctest.Wait()
		if got := addresses(w); got != "b:1 " {
			t.Fatalf("after a delete: %s", got)
		}

		watch <- clientv3.WatchResponse{Canceled: true, CompactRevision: 9}
		store.listings <- members("c:1", "d:1")
		store.watches <- <-store.watches // the second watch has started
		if got := addresses(w); got != "c:1 d:1 " {
			t.Fatalf("after compaction: %s", got)
		}
		if reconnects != 1 {
			t.Errorf("%d reconnects, want 1", reconnects)
		}
	})
}

func TestAwaitStableStartsOverWhenANodeComesButNotWhenOneIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		w := run(t, store, func() {})
		store.listings <- []Member{{Address: "a:1"}}
		watch := <-store.watches
		store.watches <- watch
		start := time.Now()

		go func() {
			time.Sleep(time.Second)
			watch <- event(clientv3.EventTypePut, Member{Address: "b:1"})
			time.Sleep(time.Second)
			watch <- event(clientv3.EventTypePut, Member{Address: "b:1", Ready: true})
		}()
		accept := func(v View) bool { return v.HasNode("a:1") }
		if err := w.AwaitStable(t.Context(), 2*time.Second, accept); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("stable after %v, want 3s", got)
		}
	})
}

func TestParseKey(t *testing.T) {
	for key, want := range map[string]bool{
		"/goverse/nodes/10.0.0.1:50051": true,
		"/goverse/gates/[::1]:60051":    true,
		"/goverse/shards/12":            false,
		"/goverse/nodes/":               false,
		"/goverse2/nodes/10.0.0.1:1":    false,
	} {
		kind, address, ok := parseKey(prefix, key)
		if ok != want {
			t.Errorf("parseKey(%q) = %v, want %v", key, ok, want)
		}
		if ok && Key(prefix+"/", kind, address) != key {
			t.Errorf("%q does not survive a round trip", key)
		}
	}
}
