package node

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"example.com/goverse/sample/internal/cluster"
	"example.com/goverse/sample/internal/fanout"
	"example.com/goverse/sample/internal/metrics"
	goversepb "example.com/goverse/sample/proto"
)

// newCounter counts without a lock, as objects may. Its methods take an Event,
// which stands for any message of an application.
func newCounter(_ string, publish Publish) Object {
	count := 0
	return Object{
		"Add": Handle(func(_ context.Context, request *goversepb.Event) (proto.Message, error) {
			count++
			publish("added", request)
			return &goversepb.Event{Name: request.GetName(), Payload: &structpb.Struct{
				Fields: map[string]*structpb.Value{"count": structpb.NewNumberValue(float64(count))},
			}}, nil
		}),
		"Panic": Handle(func(context.Context, *goversepb.Event) (proto.Message, error) { panic("on purpose") }),
	}
}

func newHost() *host {
	return &host{
		factories: map[string]Factory{"Counter": newCounter},
		metrics:   metrics.NewNode(),
		events:    new(fanout.Hub[*goversepb.Event]),
		log:       slog.New(slog.DiscardHandler),
		objects:   make(map[objectKey]*hosted),
	}
}

var key = objectKey{"Counter", "c"}

func wrap(t *testing.T, message proto.Message) *anypb.Any {
	payload, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestCallsOfOneObjectTakeTurns(t *testing.T) {
	h := newHost()
	var calls sync.WaitGroup
	for range 100 {
		calls.Go(func() {
			if _, err := h.call(t.Context(), key, "Add", nil); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	response, err := h.call(t.Context(), key, "Add", nil)
	if err != nil {
		t.Fatal(err)
	}
	var event goversepb.Event
	if err := response.UnmarshalTo(&event); err != nil {
		t.Fatal(err)
	}
	if got := event.GetPayload().GetFields()["count"].GetNumberValue(); got != 101 {
		t.Errorf("count = %v, want 101", got)
	}
}

func TestStructIsAnsweredWithStruct(t *testing.T) {
	h := newHost()
	events, cancel := h.events.Subscribe(1)
	defer cancel()
	request := &structpb.Struct{Fields: map[string]*structpb.Value{"name": structpb.NewStringValue("x")}}
	response, err := h.call(t.Context(), key, "Add", wrap(t, request))
	if err != nil {
		t.Fatal(err)
	}
	var fields structpb.Struct
	if err := response.UnmarshalTo(&fields); err != nil {
		t.Fatal(err)
	}
	if got := fields.GetFields()["name"].GetStringValue(); got != "x" {
		t.Errorf("name = %q, want x", got)
	}
	if event := <-events; event.GetName() != "added" || event.GetId() != "c" {
		t.Errorf("event = %v", event)
	}
}

func TestFailures(t *testing.T) {
	h := newHost()
	unknownField := &structpb.Struct{Fields: map[string]*structpb.Value{"nope": structpb.NewNullValue()}}
	for name, test := range map[string]struct {
		key     objectKey
		method  string
		payload *anypb.Any
		want    codes.Code
	}{
		"type":    {objectKey{"Nope", "c"}, "Add", nil, codes.NotFound},
		"id":      {objectKey{"Counter", ""}, "Add", nil, codes.InvalidArgument},
		"method":  {key, "Nope", nil, codes.Unimplemented},
		"field":   {key, "Add", wrap(t, unknownField), codes.InvalidArgument},
		"message": {key, "Add", wrap(t, &goversepb.CreateObjectRequest{}), codes.InvalidArgument},
		"panic":   {key, "Panic", nil, codes.Internal},
		"after":   {key, "Add", nil, codes.OK}, // whatever came before
	} {
		if _, err := h.call(t.Context(), test.key, test.method, test.payload); status.Code(err) != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestObjectsOfOtherNodesAreDropped(t *testing.T) {
	h := newHost()
	if _, _, err := h.get(key); err != nil {
		t.Fatal(err)
	}
	h.keepOwned("a:1", []cluster.Member{{Address: "a:1"}}, 16)
	if len(h.keys()) != 1 {
		t.Fatal("dropped its own object")
	}
	h.keepOwned("a:1", nil, 16)
	if len(h.keys()) != 1 {
		t.Fatal("dropped an object that nobody owns")
	}
	h.keepOwned("a:1", []cluster.Member{{Address: "b:1"}}, 16)
	if len(h.keys()) != 0 {
		t.Fatal("kept the object of another node")
	}
}
