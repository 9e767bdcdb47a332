package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"example.com/goverse/sample/internal/cluster"
	"example.com/goverse/sample/internal/config"
	"example.com/goverse/sample/internal/fanout"
	"example.com/goverse/sample/internal/metrics"
	"example.com/goverse/sample/internal/ops"
	"example.com/goverse/sample/internal/report"
	"example.com/goverse/sample/internal/serve"
	goversepb "example.com/goverse/sample/proto"
)

// The bounds on stopping; their sum, with the revocation of the lease, must be
// less than a pod's grace period.
const (
	callLimit = 15 * time.Second
	httpLimit = 5 * time.Second
)

var (
	errDraining  = errors.New("draining")
	errUnsettled = errors.New("the cluster has not been stable for long enough")
	errUnknown   = errors.New("not registered in etcd")
)

// Node is one node of a cluster.
type Node struct {
	settings config.Node
	version  string
	log      *slog.Logger
	host     *host
	metrics  *metrics.Node

	settled, draining atomic.Bool
}

// New makes a node that hosts the given types of object.
func New(settings config.Node, version string, factories map[string]Factory, log *slog.Logger) *Node {
	m := metrics.NewNode()
	return &Node{
		settings: settings,
		version:  version,
		log:      log,
		metrics:  m,
		host: &host{
			factories: factories,
			metrics:   m,
			events:    new(fanout.Hub[*goversepb.Event]),
			log:       log,
			objects:   make(map[objectKey]*hosted),
		},
	}
}

// Run serves until ctx ends, then drains: gates are told first, calls under
// way are finished, and nil is returned.
func (n *Node) Run(ctx context.Context) error {
	grpcListener, err := serve.Listen(ctx, n.settings.Listen)
	if err != nil {
		return err
	}
	httpListener, err := serve.Listen(ctx, n.settings.HTTPListen)
	if err != nil {
		return errors.Join(err, grpcListener.Close())
	}
	client, err := cluster.Connect(n.settings.Endpoints)
	if err != nil {
		return err
	}
	defer client.Close()

	watcher := cluster.NewWatcher(client, n.settings.Prefix, n.log)
	watcher.OnReconnect = n.metrics.Reconnections.Inc
	registrar := cluster.NewRegistrar(client, n.settings.Prefix, cluster.Nodes, cluster.Member{
		ID: n.settings.ID, Address: n.settings.Advertise, Version: n.version, Started: time.Now().UTC(),
	}, n.log)

	grpcServer := serve.GRPC()
	goversepb.RegisterGoverseServer(grpcServer, &service{host: n.host})
	httpServer := serve.HTTP(ops.Handler(func() error { return n.ready(registrar) }, n.metrics.Registry), n.log)
	failed := make(chan error, 2)
	serve.RunGRPC(grpcServer, grpcListener, failed)
	serve.RunHTTP(httpServer, httpListener, failed)

	membership, leave := context.WithCancel(ctx)
	defer leave()
	var work sync.WaitGroup
	work.Go(func() { registrar.Run(membership) })
	work.Go(func() { watcher.Run(membership) })
	work.Go(func() { n.settle(membership, watcher, registrar) })
	work.Go(func() { n.follow(membership, watcher) })
	work.Go(func() { report.Run(membership, n.settings.Inspector, n.settings.Advertise, n.objects, n.log) })

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	start := time.Now()
	n.draining.Store(true)
	n.log.Info("draining", "objects", len(n.host.keys()))
	leave()
	work.Wait() // the lease is revoked: gates stop choosing this node
	n.host.events.Close()
	serve.StopGRPC(grpcServer, callLimit, n.log)
	serve.StopHTTP(httpServer, httpLimit, n.log)
	n.log.Info("stopped", "took", time.Since(start))
	return err
}

// ready is nil once the node has joined a cluster that held still.
func (n *Node) ready(registrar *cluster.Registrar) error {
	switch {
	case n.draining.Load():
		return errDraining
	case !registrar.Registered():
		return errUnknown
	case !n.settled.Load():
		return errUnsettled
	}
	return nil
}

// settle asks for traffic once this node is in the cluster and no node has come
// or gone for the window. Later changes do not take that back.
func (n *Node) settle(ctx context.Context, watcher *cluster.Watcher, registrar *cluster.Registrar) {
	err := watcher.AwaitStable(ctx, n.settings.Stability, func(v cluster.View) bool {
		return v.HasNode(n.settings.Advertise)
	})
	if err != nil {
		return
	}
	registrar.SetReady()
	n.settled.Store(true)
	n.log.Info("ready")
}

// follow lets go of objects whose shards went to other nodes.
func (n *Node) follow(ctx context.Context, watcher *cluster.Watcher) {
	for {
		changed := watcher.Changed()
		view, _ := watcher.View()
		nodes := view.Ready()
		n.metrics.Shards.Set(float64(cluster.Owners(n.settings.Shards, nodes)[n.settings.Advertise]))
		// A node that lost its lease will have it back: it keeps its objects.
		if view.HasNode(n.settings.Advertise) {
			n.host.keepOwned(n.settings.Advertise, nodes, n.settings.Shards)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) objects() report.Report {
	keys := n.host.keys()
	objects := make([]report.Object, len(keys))
	for i, key := range keys {
		objects[i] = report.Object{Type: key.kind, ID: key.id}
	}
	return report.Report{Objects: objects}
}
