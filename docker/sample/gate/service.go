package gate

import (
	"context"
	"crypto/rand"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	gatepb "example.com/goverse/sample/gate/proto"
	goversepb "example.com/goverse/sample/proto"
)

// service is the gate's gRPC face.
type service struct {
	gatepb.UnimplementedGateServiceServer
	router  *router
	clients *clients
}

func (s *service) CallObject(ctx context.Context, r *goversepb.CallObjectRequest) (*goversepb.CallObjectResponse, error) {
	return s.router.CallObject(ctx, r)
}

func (s *service) CreateObject(ctx context.Context, r *goversepb.CreateObjectRequest) (*goversepb.CreateObjectResponse, error) {
	return s.router.CreateObject(ctx, r)
}

func (s *service) DeleteObject(ctx context.Context, r *goversepb.DeleteObjectRequest) (*goversepb.DeleteObjectResponse, error) {
	return s.router.DeleteObject(ctx, r)
}

func (s *service) Subscribe(r *gatepb.SubscribeRequest, stream grpc.ServerStreamingServer[gatepb.ClientMessage]) error {
	events, cancel := s.clients.subscribe("grpc")
	defer cancel()
	wanted := filter{r.GetType(), r.GetId()}
	id := rand.Text()
	if err := stream.Send(&gatepb.ClientMessage{ClientId: id}); err != nil {
		return err
	}
	for {
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case event, open := <-events:
			if !open {
				return nil // the gate drains
			}
			if !wanted.accepts(event) {
				continue
			}
			message, err := anypb.New(event)
			if err != nil {
				return err
			}
			if err := stream.Send(&gatepb.ClientMessage{ClientId: id, Message: message}); err != nil {
				return err
			}
		}
	}
}
