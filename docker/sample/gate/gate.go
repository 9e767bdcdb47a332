// Package gate is a Goverse gate: clients call objects through it, without
// knowing where they are, and receive the events the objects publish.
package gate

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	gatepb "example.com/goverse/sample/gate/proto"
	"example.com/goverse/sample/internal/cluster"
	"example.com/goverse/sample/internal/config"
	"example.com/goverse/sample/internal/fanout"
	"example.com/goverse/sample/internal/metrics"
	"example.com/goverse/sample/internal/ops"
	"example.com/goverse/sample/internal/report"
	"example.com/goverse/sample/internal/serve"
	goversepb "example.com/goverse/sample/proto"
)

// The bounds on stopping. A call has callTimeout; clients are stopped side by
// side, so that the sum is less than a pod's grace period.
const (
	clientLimit = callTimeout + time.Second
	opsLimit    = 2 * time.Second
)

var (
	errDraining  = errors.New("draining")
	errUnsettled = errors.New("no stable cluster with a ready node has been seen")
)

// Gate is one gate of a cluster.
type Gate struct {
	settings config.Gate
	version  string
	log      *slog.Logger
	metrics  *metrics.Gate
	clients  *clients

	settled, draining atomic.Bool
}

// New makes a gate.
func New(settings config.Gate, version string, log *slog.Logger) *Gate {
	m := metrics.NewGate()
	return &Gate{
		settings: settings,
		version:  version,
		log:      log,
		metrics:  m,
		clients:  &clients{hub: new(fanout.Hub[*goversepb.Event]), metrics: m},
	}
}

// Run serves until ctx ends, then drains and returns nil. It serves no client
// before there is a view of the cluster that held still.
func (g *Gate) Run(ctx context.Context) error {
	listeners, err := g.listen(ctx)
	if err != nil {
		return err
	}
	client, err := cluster.Connect(g.settings.Endpoints)
	if err != nil {
		return err
	}
	defer client.Close()

	watcher := cluster.NewWatcher(client, g.settings.Prefix, g.log)
	watcher.OnReconnect = g.metrics.Reconnections.Inc
	registrar := cluster.NewRegistrar(client, g.settings.Prefix, cluster.Gates, cluster.Member{
		ID: g.settings.ID, Address: g.settings.Advertise, Version: g.version, Started: time.Now().UTC(),
	}, g.log)
	links := newLinks(g.settings.ID, g.clients.publish, g.log)
	router := &router{watcher: watcher, links: links, shards: g.settings.Shards, metrics: g.metrics}

	grpcServer := serve.GRPC()
	gatepb.RegisterGateServiceServer(grpcServer, &service{router: router, clients: g.clients})
	apiServer := serve.HTTP(newAPI(router, g.clients), g.log)
	opsServer := serve.HTTP(ops.Handler(g.ready, g.metrics.Registry), g.log)
	failed := make(chan error, 3)
	serve.RunGRPC(grpcServer, listeners.grpc, failed)
	serve.RunHTTP(apiServer, listeners.api, failed)
	serve.RunHTTP(opsServer, listeners.ops, failed)

	// Routing outlives membership: calls under way may still need a retry.
	routing, stopRouting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRouting()
	membership, leave := context.WithCancel(ctx)
	defer leave()
	var members, routers sync.WaitGroup
	routers.Go(func() { watcher.Run(routing) })
	routers.Go(func() { follow(routing, watcher, links) })
	members.Go(func() { registrar.Run(membership) })
	members.Go(func() { g.settle(membership, watcher, registrar) })
	members.Go(func() { report.Run(membership, g.settings.Inspector, g.settings.Advertise, g.held, g.log) })

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	start := time.Now()
	g.draining.Store(true)
	g.log.Info("draining", "clients", g.clients.hub.Len())
	leave()
	members.Wait()
	g.clients.hub.Close()
	var stops sync.WaitGroup
	stops.Go(func() { serve.StopGRPC(grpcServer, clientLimit, g.log) })
	stops.Go(func() { serve.StopHTTP(apiServer, clientLimit, g.log) })
	stops.Wait()
	stopRouting()
	routers.Wait()
	links.close()
	serve.StopHTTP(opsServer, opsLimit, g.log)
	g.log.Info("stopped", "took", time.Since(start))
	return err
}

// ready is nil from the first stable cluster until the gate drains. It does not
// depend on etcd after that: while etcd is away the nodes still serve, and
// taking every gate out of its Service would turn that into an outage.
func (g *Gate) ready() error {
	switch {
	case g.draining.Load():
		return errDraining
	case !g.settled.Load():
		return errUnsettled
	}
	return nil
}

func (g *Gate) settle(ctx context.Context, watcher *cluster.Watcher, registrar *cluster.Registrar) {
	err := watcher.AwaitStable(ctx, g.settings.Stability, func(v cluster.View) bool {
		return v.HasGate(g.settings.Advertise) && len(v.Ready()) > 0
	})
	if err != nil {
		return
	}
	registrar.SetReady()
	g.settled.Store(true)
	g.log.Info("ready")
}

func follow(ctx context.Context, watcher *cluster.Watcher, links *links) {
	for {
		changed := watcher.Changed()
		view, _ := watcher.View()
		links.sync(view.Nodes)
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gate) held() report.Report {
	return report.Report{Clients: g.clients.hub.Len()}
}
