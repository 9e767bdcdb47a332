package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// fakeLeaser holds at most one key; the test loses its lease by closing alive.
type fakeLeaser struct {
	mu    sync.Mutex
	down  bool
	last  clientv3.LeaseID
	alive chan *clientv3.LeaseKeepAliveResponse
	value string
}

func (f *fakeLeaser) Grant(context.Context, int64) (*clientv3.LeaseGrantResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, errors.New("etcd is down")
	}
	f.last++
	return &clientv3.LeaseGrantResponse{ID: f.last}, nil
}

func (f *fakeLeaser) KeepAlive(context.Context, clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alive = make(chan *clientv3.LeaseKeepAliveResponse)
	return f.alive, nil
}

func (f *fakeLeaser) Revoke(_ context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == f.last {
		f.value = ""
	}
	return &clientv3.LeaseRevokeResponse{}, nil
}

func (f *fakeLeaser) Put(_ context.Context, _, value string, _ ...clientv3.OpOption) (*clientv3.PutResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value = value
	return &clientv3.PutResponse{}, nil
}

func (f *fakeLeaser) stored(t *testing.T) (Member, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.value == "" {
		return Member{}, false
	}
	var member Member
	if err := json.Unmarshal([]byte(f.value), &member); err != nil {
		t.Fatal(err)
	}
	return member, true
}

func TestRegistrar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := &fakeLeaser{down: true}
		r := NewRegistrar(etcd, prefix, Nodes, Member{ID: "n", Address: "a:1"}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Run(ctx)
		}()

		time.Sleep(time.Minute)
		if r.Registered() {
			t.Fatal("registered in an etcd that is down")
		}
		etcd.mu.Lock()
		etcd.down = false
		etcd.mu.Unlock()
		time.Sleep(retry.Max)
		if member, ok := etcd.stored(t); !ok || member.Ready || !r.Registered() {
			t.Fatalf("after etcd came up: %+v, %v", member, ok)
		}
		r.SetReady()
		synctest.Wait()
		if member, _ := etcd.stored(t); !member.Ready {
			t.Fatal("readiness was not published")
		}

		etcd.mu.Lock()
		lost := etcd.last
		etcd.mu.Unlock()
		close(etcd.alive)
		time.Sleep(retry.Max)
		if member, ok := etcd.stored(t); !ok || !member.Ready || etcd.last == lost {
			t.Fatalf("after losing the lease: %+v, %v, lease %d", member, ok, etcd.last)
		}

		cancel()
		<-done
		if _, ok := etcd.stored(t); ok || r.Registered() {
			t.Fatal("still registered after the end")
		}
	})
}
