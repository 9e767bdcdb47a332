// Package cluster is the programs' shared picture of the cluster: who is in it
// (kept in etcd, under leases) and which node each object belongs to.
package cluster

import (
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Kind is the part a member plays, and its folder below the etcd prefix.
type Kind string

const (
	Nodes Kind = "nodes"
	Gates Kind = "gates"
)

// Member is what a program says of itself in etcd.
type Member struct {
	ID      string    `json:"id"`
	Address string    `json:"address"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`

	// Ready is false until the member wants traffic.
	Ready bool `json:"ready"`
}

// Key is where a member is registered.
func Key(prefix string, kind Kind, address string) string {
	return fmt.Sprintf("%s%s/%s", folder(prefix), kind, address)
}

// folder ends in a slash, so that /goverse does not also match /goverse2.
func folder(prefix string) string {
	return strings.TrimRight(prefix, "/") + "/"
}

func parseKey(prefix, key string) (Kind, string, bool) {
	rest, ok := strings.CutPrefix(key, folder(prefix))
	if !ok {
		return "", "", false
	}
	kind, address, ok := strings.Cut(rest, "/")
	if !ok || address == "" || (Kind(kind) != Nodes && Kind(kind) != Gates) {
		return "", "", false
	}
	return Kind(kind), address, true
}

// Connect returns at once, whether or not etcd can be reached.
func Connect(endpoints []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:            endpoints,
		DialTimeout:          5 * time.Second,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		// gRPC's own default waits up to two minutes before it dials again: far
		// too long for leases that are lost all the while.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		})},
		// What matters is logged where it is handled; this also keeps the
		// client from reading its log level from the environment.
		Logger: zap.NewNop(),
	})
}
