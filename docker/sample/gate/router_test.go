package gate

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/goverse/sample/internal/cluster"
	"example.com/goverse/sample/internal/metrics"
	goversepb "example.com/goverse/sample/proto"
)

const shards = 16

// fakeNode answers every call with one code.
type fakeNode struct {
	goversepb.UnimplementedGoverseServer
	address string
	code    codes.Code
	calls   atomic.Int32
}

func (n *fakeNode) CallObject(context.Context, *goversepb.CallObjectRequest) (*goversepb.CallObjectResponse, error) {
	n.calls.Add(1)
	if n.code != codes.OK {
		return nil, status.Error(n.code, "as told")
	}
	return &goversepb.CallObjectResponse{}, nil
}

func startNode(t *testing.T) *fakeNode {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	node := &fakeNode{address: listener.Addr().String()}
	server := grpc.NewServer()
	goversepb.RegisterGoverseServer(server, node)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return node
}

// fakeEtcd lists the nodes and never tells of a change.
type fakeEtcd []cluster.Member

func (f fakeEtcd) Get(context.Context, string, ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	response := &clientv3.GetResponse{Header: &pb.ResponseHeader{Revision: 1}}
	for _, node := range f {
		value, err := json.Marshal(node)
		if err != nil {
			return nil, err
		}
		key := cluster.Key("/goverse", cluster.Nodes, node.Address)
		response.Kvs = append(response.Kvs, &mvccpb.KeyValue{Key: []byte(key), Value: value})
	}
	return response, nil
}

func (f fakeEtcd) Watch(ctx context.Context, _ string, _ ...clientv3.OpOption) clientv3.WatchChan {
	watch := make(chan clientv3.WatchResponse)
	context.AfterFunc(ctx, func() { close(watch) })
	return watch
}

// newRouter knows the given nodes, the owner of the object "x" first.
func newRouter(t *testing.T, nodes ...*fakeNode) (*router, []*fakeNode) {
	log := slog.New(slog.DiscardHandler)
	var members []cluster.Member
	byAddress := make(map[string]*fakeNode)
	for _, node := range nodes {
		members = append(members, cluster.Member{Address: node.address, Ready: true})
		byAddress[node.address] = node
	}
	watcher := cluster.NewWatcher(fakeEtcd(members), "/goverse", log)
	changed := watcher.Changed()
	go watcher.Run(t.Context())
	<-changed
	links := newLinks("g", func(*goversepb.Event) {}, log)
	links.sync(members)
	t.Cleanup(links.close)
	var ranked []*fakeNode
	for _, member := range cluster.Rank(cluster.ShardOf("x", shards), members) {
		ranked = append(ranked, byAddress[member.Address])
	}
	return &router{watcher: watcher, links: links, shards: shards, metrics: metrics.NewGate()}, ranked
}

func TestUnavailableOwnerIsPassedOver(t *testing.T) {
	r, ranked := newRouter(t, startNode(t), startNode(t), startNode(t))
	ranked[0].code = codes.Unavailable
	if _, err := r.CallObject(t.Context(), &goversepb.CallObjectRequest{Id: "x"}); err != nil {
		t.Fatal(err)
	}
	if a, b, c := ranked[0].calls.Load(), ranked[1].calls.Load(), ranked[2].calls.Load(); a != 1 || b != 1 || c != 0 {
		t.Errorf("calls by rank: %d, %d, %d, want 1, 1, 0", a, b, c)
	}
}

func TestOtherErrorsAreNotRetried(t *testing.T) {
	r, ranked := newRouter(t, startNode(t), startNode(t))
	ranked[0].code = codes.FailedPrecondition
	_, err := r.CallObject(t.Context(), &goversepb.CallObjectRequest{Id: "x"})
	if status.Code(err) != codes.FailedPrecondition || ranked[1].calls.Load() != 0 {
		t.Errorf("%v, and %d calls to the next node", err, ranked[1].calls.Load())
	}
}

func TestRetriesAreBounded(t *testing.T) {
	r, ranked := newRouter(t, startNode(t))
	ranked[0].code = codes.Unavailable
	_, err := r.CallObject(t.Context(), &goversepb.CallObjectRequest{Id: "x"})
	if n := ranked[0].calls.Load(); status.Code(err) != codes.Unavailable || n < 2 || n > maxAttempts {
		t.Errorf("%v after %d calls", err, n)
	}
}

func TestNoNodes(t *testing.T) {
	r, _ := newRouter(t)
	_, err := r.CallObject(t.Context(), &goversepb.CallObjectRequest{Id: "x"})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("%v, want %v", err, codes.Unavailable)
	}
}
