package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// leaseTTL bounds how long a member that died is still listed.
	leaseTTL    = 10 * time.Second
	putTimeout  = 5 * time.Second
	revokeLimit = 3 * time.Second
)

var errLeaseLost = errors.New("lease lost")

// leaser is the part of an etcd client that a Registrar writes with.
type leaser interface {
	Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error)
	KeepAlive(ctx context.Context, id clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error)
	Revoke(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error)
	Put(ctx context.Context, key, value string, opts ...clientv3.OpOption) (*clientv3.PutResponse, error)
}

// Registrar keeps one member registered.
type Registrar struct {
	client leaser
	key    string
	log    *slog.Logger

	mu     sync.Mutex
	member Member
	dirty  chan struct{}

	registered atomic.Bool
}

// NewRegistrar does nothing until Run.
func NewRegistrar(client leaser, prefix string, kind Kind, member Member, log *slog.Logger) *Registrar {
	return &Registrar{
		client: client,
		key:    Key(prefix, kind, member.Address),
		log:    log,
		member: member,
		dirty:  make(chan struct{}, 1),
	}
}

// Registered says whether the member is in etcd, as far as is known.
func (r *Registrar) Registered() bool { return r.registered.Load() }

// SetReady tells the cluster that the member wants traffic.
func (r *Registrar) SetReady() {
	r.mu.Lock()
	r.member.Ready = true
	r.mu.Unlock()
	select {
	case r.dirty <- struct{}{}:
	default:
	}
}

// Run keeps the member registered, under a new lease whenever one is lost,
// until ctx ends; it then revokes the lease, so that the key is gone at once,
// and returns.
func (r *Registrar) Run(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		held, err := r.hold(ctx)
		if ctx.Err() != nil {
			return
		}
		if held {
			attempt = 0
		}
		r.log.Warn("not registered, trying again", "key", r.key, "error", err)
		if retry.Wait(ctx, attempt) != nil {
			return
		}
	}
}

// hold registers once and returns when ctx ends or the lease is lost.
func (r *Registrar) hold(ctx context.Context) (held bool, err error) {
	grantCtx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	lease, err := r.client.Grant(grantCtx, int64(leaseTTL/time.Second))
	if err != nil {
		return false, err
	}
	// Also on failure: it may be half registered. ctx may have ended by then.
	defer func() {
		r.registered.Store(false)
		revokeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeLimit)
		defer cancel()
		if _, err := r.client.Revoke(revokeCtx, lease.ID); err != nil && ctx.Err() != nil {
			r.log.Warn("lease not revoked, it will expire", "key", r.key, "ttl", leaseTTL, "error", err)
		}
	}()
	alive, err := r.client.KeepAlive(ctx, lease.ID)
	if err != nil {
		return false, err
	}
	if err := r.put(ctx, lease.ID); err != nil {
		return false, err
	}
	r.registered.Store(true)
	r.log.Info("registered", "key", r.key)
	for {
		select {
		case <-ctx.Done():
			return true, nil
		case <-r.dirty:
			if err := r.put(ctx, lease.ID); err != nil {
				return true, err
			}
		case _, open := <-alive:
			if !open {
				return true, errLeaseLost
			}
		}
	}
}

func (r *Registrar) put(ctx context.Context, lease clientv3.LeaseID) error {
	r.mu.Lock()
	value, err := json.Marshal(r.member)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	_, err = r.client.Put(ctx, r.key, string(value), clientv3.WithLease(lease))
	return err
}
