package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"

	"example.com/goverse/sample/internal/cluster"
	"example.com/goverse/sample/internal/ops"
	"example.com/goverse/sample/internal/sse"
)

var errNoView = errors.New("the cluster has not been read from etcd yet")

// site is the inspector's HTTP face.
type site struct {
	watcher *cluster.Watcher
	reports *reports
	shards  int
	done    <-chan struct{}
}

type graph struct {
	Revision int64    `json:"revision"`
	Nodes    []vertex `json:"nodes"`
	Gates    []vertex `json:"gates"`
}

type vertex struct {
	cluster.Member
	Objects []object `json:"objects,omitempty"`
	Clients int64    `json:"clients,omitempty"`
}

type object struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func (s *site) handler(static fs.FS) http.Handler {
	mux := http.NewServeMux()
	ops.Health(mux, func() error {
		if _, loaded := s.watcher.View(); !loaded {
			return errNoView
		}
		return nil
	})
	mux.HandleFunc("GET /graph", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.graph()) })
	mux.HandleFunc("GET /shards", func(w http.ResponseWriter, _ *http.Request) {
		view, _ := s.watcher.View()
		reply(w, map[string]any{"shards": s.shards, "owners": cluster.Owners(s.shards, view.Ready())})
	})
	mux.HandleFunc("GET /events/stream", s.events)
	mux.Handle("GET /", http.FileServerFS(static))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

func (s *site) graph() graph {
	view, _ := s.watcher.View()
	return graph{view.Revision, s.vertices(view.Nodes), s.vertices(view.Gates)}
}

func (s *site) vertices(members []cluster.Member) []vertex {
	vertices := make([]vertex, len(members))
	for i, member := range members {
		report := s.reports.get(member.Address)
		vertices[i] = vertex{Member: member, Clients: report.GetClients()}
		for _, o := range report.GetObjects() {
			vertices[i].Objects = append(vertices[i].Objects, object{o.GetType(), o.GetId()})
		}
	}
	return vertices
}

// events sends the graph whenever a member comes, goes or becomes ready.
func (s *site) events(w http.ResponseWriter, r *http.Request) {
	changed := s.watcher.Changed()
	events := make(chan sse.Event)
	go func() {
		defer close(events)
		for {
			select {
			case <-changed:
			case <-s.done:
				return
			case <-r.Context().Done():
				return
			}
			changed = s.watcher.Changed()
			select {
			case events <- s.event():
			case <-r.Context().Done():
				return
			}
		}
	}()
	sse.Stream(w, r, s.event(), events)
}

func (s *site) event() sse.Event {
	data, _ := json.Marshal(s.graph())
	return sse.Event{Name: "graph", Data: data}
}

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(value)
}
