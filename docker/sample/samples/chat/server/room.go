package main

import (
	"context"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/goverse/sample/node"
	chatpb "example.com/goverse/sample/samples/chat/proto"
)

// The limits on a room, which is kept in memory.
const (
	maxMessages = 100
	maxMembers  = 1000
	maxText     = 4096
)

// room is a chat room: an object of type ChatRoom.
type room struct {
	publish  node.Publish
	members  map[string]bool
	messages []*chatpb.ChatMessage
}

func newRoom(_ string, publish node.Publish) node.Object {
	r := &room{publish: publish, members: make(map[string]bool)}
	return node.Object{
		"Join":     node.Handle(r.join),
		"Say":      node.Handle(r.say),
		"Messages": node.Handle(r.list),
	}
}

func (r *room) join(_ context.Context, request *chatpb.JoinRequest) (proto.Message, error) {
	user := request.GetUser()
	if user == "" {
		return nil, status.Error(codes.InvalidArgument, "no user")
	}
	if !r.members[user] {
		if len(r.members) == maxMembers {
			return nil, status.Error(codes.ResourceExhausted, "the room is full")
		}
		r.members[user] = true
		r.publish("joined", request)
	}
	return &chatpb.JoinResponse{Members: slices.Sorted(maps.Keys(r.members))}, nil
}

func (r *room) say(_ context.Context, request *chatpb.SayRequest) (proto.Message, error) {
	if !r.members[request.GetUser()] {
		return nil, status.Errorf(codes.FailedPrecondition, "%q has not joined", request.GetUser())
	}
	if text := request.GetText(); text == "" || len(text) > maxText {
		return nil, status.Errorf(codes.InvalidArgument, "text must have 1 to %d bytes", maxText)
	}
	message := &chatpb.ChatMessage{User: request.GetUser(), Text: request.GetText(), Sent: timestamppb.Now()}
	if len(r.messages) == maxMessages {
		r.messages = slices.Delete(r.messages, 0, 1)
	}
	r.messages = append(r.messages, message)
	r.publish("said", message)
	return &chatpb.SayResponse{Message: message}, nil
}

func (r *room) list(context.Context, *chatpb.MessagesRequest) (proto.Message, error) {
	return &chatpb.MessagesResponse{Messages: slices.Clone(r.messages)}, nil
}
