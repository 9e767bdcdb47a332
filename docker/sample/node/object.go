// Package node is a Goverse node as a library: it hosts the objects of an
// application, runs their methods for gates and takes part in the cluster.
package node

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Publish sends an event of an object to the clients that follow it.
type Publish func(name string, payload proto.Message)

// Factory makes the object with this id. Its methods never run at the same
// time, so it needs no locks.
type Factory func(id string, publish Publish) Object

// Object is what a Factory makes: methods by name.
type Object map[string]Method

// Method is one method of an object; Handle makes it.
type Method struct {
	decode func(*anypb.Any) (proto.Message, error)
	call   func(context.Context, proto.Message) (proto.Message, error)
}

// Handle makes a Method of a function that takes one type of message. An error
// with a gRPC status reaches the caller as it is.
func Handle[T any, P interface {
	*T
	proto.Message
}](f func(context.Context, P) (proto.Message, error)) Method {
	return Method{
		decode: func(payload *anypb.Any) (proto.Message, error) {
			request := P(new(T))
			return request, decode(payload, request)
		},
		call: func(ctx context.Context, request proto.Message) (proto.Message, error) {
			return f(ctx, request.(P))
		},
	}
}

// invoke answers a Struct with a Struct: a caller that has only JSON does not
// know the method's types.
func (m Method) invoke(ctx context.Context, payload *anypb.Any) (*anypb.Any, error) {
	request, err := m.decode(payload)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "request: %v", err)
	}
	response, err := m.call(ctx, request)
	if err != nil {
		return nil, err
	}
	if payload.MessageIs((*structpb.Struct)(nil)) {
		if response, err = toStruct(response); err != nil {
			return nil, err
		}
	}
	return anypb.New(response)
}

// decode leaves into empty when there is no payload.
func decode(payload *anypb.Any, into proto.Message) error {
	if payload == nil {
		return nil
	}
	if !payload.MessageIs((*structpb.Struct)(nil)) {
		return payload.UnmarshalTo(into)
	}
	var fields structpb.Struct
	if err := payload.UnmarshalTo(&fields); err != nil {
		return err
	}
	text, err := fields.MarshalJSON()
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, into)
}

func toStruct(message proto.Message) (*structpb.Struct, error) {
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(message)
	if err != nil {
		return nil, err
	}
	var fields structpb.Struct
	return &fields, fields.UnmarshalJSON(text)
}
