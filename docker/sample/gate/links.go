package gate

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	wait "example.com/goverse/sample/internal/backoff"
	"example.com/goverse/sample/internal/cluster"
	goversepb "example.com/goverse/sample/proto"
)

var streamRetry = wait.Policy{First: 200 * time.Millisecond, Max: 5 * time.Second}

// links is one connection to each node of the view, over which calls go and
// events come.
type links struct {
	gateID  string
	onEvent func(*goversepb.Event)
	log     *slog.Logger

	mu     sync.Mutex
	byAddr map[string]*link
	work   sync.WaitGroup
}

type link struct {
	conn *grpc.ClientConn
	// calls holds up closing: a node that left the view may be draining, and
	// closing would break the calls it is still finishing.
	calls sync.WaitGroup
	stop  context.CancelFunc
}

func newLinks(gateID string, onEvent func(*goversepb.Event), log *slog.Logger) *links {
	return &links{gateID: gateID, onEvent: onEvent, log: log, byAddr: make(map[string]*link)}
}

// sync makes the links those of the given nodes.
func (l *links) sync(nodes []cluster.Member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := make(map[string]bool, len(nodes))
	for _, node := range nodes {
		wanted[node.Address] = true
		if l.byAddr[node.Address] != nil {
			continue
		}
		conn, err := dial(node.Address)
		if err != nil {
			l.log.Warn("node cannot be dialled", "address", node.Address, "error", err)
			continue
		}
		ctx, stop := context.WithCancel(context.Background())
		l.byAddr[node.Address] = &link{conn: conn, stop: stop}
		l.work.Go(func() { l.listen(ctx, node.Address, conn) })
	}
	for address, gone := range l.byAddr {
		if wanted[address] {
			continue
		}
		delete(l.byAddr, address)
		gone.stop()
		l.work.Go(func() {
			gone.calls.Wait()
			gone.conn.Close()
		})
	}
}

// acquire returns a client of a node, which stays open until released.
func (l *links) acquire(address string) (client goversepb.GoverseClient, release func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	link, ok := l.byAddr[address]
	if !ok {
		return nil, nil, false
	}
	link.calls.Add(1)
	return goversepb.NewGoverseClient(link.conn), link.calls.Done, true
}

// close waits for calls under way.
func (l *links) close() {
	l.sync(nil)
	l.work.Wait()
}

// listen receives a node's events, for as long as the node is in the view.
func (l *links) listen(ctx context.Context, address string, conn *grpc.ClientConn) {
	client := goversepb.NewGoverseClient(conn)
	for attempt := 0; ; attempt++ {
		heard, err := l.receive(ctx, client)
		if ctx.Err() != nil {
			return
		}
		if heard {
			attempt = 0
		}
		l.log.Info("no events from node for now", "address", address, "error", err)
		if streamRetry.Wait(ctx, attempt) != nil {
			return
		}
	}
}

func (l *links) receive(ctx context.Context, client goversepb.GoverseClient) (heard bool, err error) {
	stream, err := client.RegisterGate(ctx, &goversepb.RegisterGateRequest{GateId: l.gateID})
	if err != nil {
		return false, err
	}
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return heard, errors.New("the node drains")
		}
		if err != nil {
			return heard, err
		}
		heard = true
		l.onEvent(event)
	}
}

// dial connects lazily. Its limits are short: a node that does not answer is
// better found out by trying the next.
func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second}),
	)
}
