// Package sse writes server-sent events.
package sse

import (
	"fmt"
	"net/http"
	"time"
)

const (
	heartbeat  = 15 * time.Second
	writeLimit = 10 * time.Second
)

// Event is one message. Data must hold no newline: marshalled JSON does not.
type Event struct {
	Name string
	Data []byte
}

// Stream sends hello, then every event, until the channel is closed or the
// client goes away. Comments are sent in quiet times, so that proxies keep the
// connection and a dead client is noticed.
func Stream(w http.ResponseWriter, r *http.Request, hello Event, events <-chan Event) {
	control := http.NewResponseController(w)
	// The server's read timeout would otherwise end the request's context.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		http.Error(w, "streaming is not supported", http.StatusNotImplemented)
		return
	}
	send := func(text string) bool {
		if control.SetWriteDeadline(time.Now().Add(writeLimit)) != nil {
			return false
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	if !send(format(hello)) {
		return
	}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			if !send(": still here\n\n") {
				return
			}
		case event, open := <-events:
			if !open || !send(format(event)) {
				return
			}
		}
	}
}

func format(e Event) string {
	return fmt.Sprintf("event: %s\ndata: %s\n\n", e.Name, e.Data)
}
