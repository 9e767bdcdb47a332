// Package metrics names what nodes and gates measure. The names are Goverse's;
// only those whose subject this module has are here.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// newRegistry has the collectors that every program wants.
func newRegistry() (*prometheus.Registry, promauto.Factory) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry, promauto.With(registry)
}

// Node is what a node measures.
type Node struct {
	Registry *prometheus.Registry

	Objects         *prometheus.GaugeVec     // by object_type
	Calls           *prometheus.CounterVec   // by object_type, method, status
	CallDuration    *prometheus.HistogramVec // by object_type, method
	Shards          prometheus.Gauge
	ConnectedGates  prometheus.Gauge
	PushedMessages  prometheus.Counter
	DroppedMessages prometheus.Counter
	Reconnections   prometheus.Counter
}

// NewNode makes them, in a registry of their own.
func NewNode() *Node {
	registry, with := newRegistry()
	return &Node{
		Registry: registry,
		Objects: with.NewGaugeVec(prometheus.GaugeOpts{
			Name: "goverse_objects_total", Help: "Objects hosted.",
		}, []string{"object_type"}),
		Calls: with.NewCounterVec(prometheus.CounterOpts{
			Name: "goverse_method_calls_total", Help: "Method calls finished.",
		}, []string{"object_type", "method", "status"}),
		CallDuration: with.NewHistogramVec(prometheus.HistogramOpts{
			Name: "goverse_method_call_duration", Help: "Seconds a method call took, waiting for its turn included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}, []string{"object_type", "method"}),
		Shards: with.NewGauge(prometheus.GaugeOpts{
			Name: "goverse_shards_total", Help: "Shards owned.",
		}),
		ConnectedGates: with.NewGauge(prometheus.GaugeOpts{
			Name: "goverse_node_connected_gates", Help: "Gates that receive events.",
		}),
		PushedMessages: with.NewCounter(prometheus.CounterOpts{
			Name: "goverse_node_pushed_messages_total", Help: "Events handed to gates.",
		}),
		DroppedMessages: with.NewCounter(prometheus.CounterOpts{
			Name: "goverse_node_dropped_messages_total", Help: "Events a slow gate missed.",
		}),
		Reconnections: reconnections(with),
	}
}

// Gate is what a gate measures.
type Gate struct {
	Registry *prometheus.Registry

	Clients         *prometheus.GaugeVec // by client_type
	ActiveClients   prometheus.Gauge
	PushedMessages  prometheus.Counter
	DroppedMessages prometheus.Counter
	Duration        *prometheus.HistogramVec // by operation
	Timeouts        *prometheus.CounterVec   // by operation
	Reconnections   prometheus.Counter
}

// NewGate makes them, in a registry of their own.
func NewGate() *Gate {
	registry, with := newRegistry()
	return &Gate{
		Registry: registry,
		Clients: with.NewGaugeVec(prometheus.GaugeOpts{
			Name: "goverse_clients_connected", Help: "Clients that receive events, by how they are connected.",
		}, []string{"client_type"}),
		ActiveClients: with.NewGauge(prometheus.GaugeOpts{
			Name: "goverse_gate_active_clients", Help: "Clients that receive events.",
		}),
		PushedMessages: with.NewCounter(prometheus.CounterOpts{
			Name: "goverse_gate_pushed_messages_total", Help: "Events handed to clients.",
		}),
		DroppedMessages: with.NewCounter(prometheus.CounterOpts{
			Name: "goverse_gate_dropped_messages_total", Help: "Events a slow client missed.",
		}),
		Duration: with.NewHistogramVec(prometheus.HistogramOpts{
			Name: "goverse_operation_duration_seconds", Help: "Time an operation took, retries included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 10),
		}, []string{"operation"}),
		Timeouts: with.NewCounterVec(prometheus.CounterOpts{
			Name: "goverse_operation_timeouts_total", Help: "Operations that ran out of time.",
		}, []string{"operation"}),
		Reconnections: reconnections(with),
	}
}

func reconnections(with promauto.Factory) prometheus.Counter {
	return with.NewCounter(prometheus.CounterOpts{
		Name: "goverse_watch_reconnections_total", Help: "Times the watch on etcd had to start over.",
	})
}
