package gate

import (
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"

	"example.com/goverse/sample/internal/fanout"
	"example.com/goverse/sample/internal/metrics"
	goversepb "example.com/goverse/sample/proto"
)

// clientBuffer is how far a client may fall behind before it misses events.
const clientBuffer = 64

// clients is those that receive events.
type clients struct {
	hub     *fanout.Hub[*goversepb.Event]
	metrics *metrics.Gate
}

// filter lets through the events of one type and id, or of all if empty.
type filter struct{ kind, id string }

func (f filter) accepts(event *goversepb.Event) bool {
	return (f.kind == "" || f.kind == event.GetType()) && (f.id == "" || f.id == event.GetId())
}

// subscribe counts a client, connected by http or grpc, until it is cancelled.
func (c *clients) subscribe(how string) (<-chan *goversepb.Event, func()) {
	events, cancel := c.hub.Subscribe(clientBuffer)
	c.metrics.ActiveClients.Inc()
	c.metrics.Clients.WithLabelValues(how).Inc()
	return events, func() {
		cancel()
		c.metrics.ActiveClients.Dec()
		c.metrics.Clients.WithLabelValues(how).Dec()
	}
}

func (c *clients) publish(event *goversepb.Event) {
	delivered, dropped := c.hub.Publish(event)
	c.metrics.PushedMessages.Add(float64(delivered))
	c.metrics.DroppedMessages.Add(float64(dropped))
}

// eventJSON is an event as HTTP clients see it.
func eventJSON(event *goversepb.Event) ([]byte, error) {
	payload, err := protojson.Marshal(event.GetPayload())
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Type    string          `json:"type"`
		ID      string          `json:"id"`
		Name    string          `json:"name"`
		Payload json.RawMessage `json:"payload"`
	}{event.GetType(), event.GetId(), event.GetName(), payload})
}
