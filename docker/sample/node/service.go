package node

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	goversepb "example.com/goverse/sample/proto"
)

// eventBuffer is how far a gate may fall behind before it misses events.
const eventBuffer = 256

// service is the node's gRPC face.
type service struct {
	goversepb.UnimplementedGoverseServer
	host *host
}

func (s *service) CallObject(ctx context.Context, r *goversepb.CallObjectRequest) (*goversepb.CallObjectResponse, error) {
	response, err := s.host.call(ctx, objectKey{r.GetType(), r.GetId()}, r.GetMethod(), r.GetRequest())
	if err != nil {
		return nil, err
	}
	return &goversepb.CallObjectResponse{Response: response}, nil
}

func (s *service) CreateObject(_ context.Context, r *goversepb.CreateObjectRequest) (*goversepb.CreateObjectResponse, error) {
	_, created, err := s.host.get(objectKey{r.GetType(), r.GetId()})
	if err != nil {
		return nil, err
	}
	if !created {
		return nil, status.Errorf(codes.AlreadyExists, "%s %q exists", r.GetType(), r.GetId())
	}
	return &goversepb.CreateObjectResponse{}, nil
}

func (s *service) DeleteObject(_ context.Context, r *goversepb.DeleteObjectRequest) (*goversepb.DeleteObjectResponse, error) {
	return &goversepb.DeleteObjectResponse{Existed: s.host.delete(objectKey{r.GetType(), r.GetId()})}, nil
}

func (s *service) RegisterGate(r *goversepb.RegisterGateRequest, stream grpc.ServerStreamingServer[goversepb.Event]) error {
	events, cancel := s.host.events.Subscribe(eventBuffer)
	defer cancel()
	s.host.metrics.ConnectedGates.Inc()
	defer s.host.metrics.ConnectedGates.Dec()
	s.host.log.Info("gate connected", "gate", r.GetGateId())
	defer s.host.log.Info("gate disconnected", "gate", r.GetGateId())
	for {
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case event, open := <-events:
			if !open {
				return nil // the node drains
			}
			if err := stream.Send(event); err != nil {
				return err
			}
		}
	}
}
