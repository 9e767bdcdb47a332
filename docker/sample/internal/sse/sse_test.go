package sse

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestStreamEndsWithItsChannel(t *testing.T) {
	events := make(chan Event, 1)
	events <- Event{Name: "message", Data: []byte(`{"n":1}`)}
	close(events)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Stream(w, r, Event{Name: "register", Data: []byte(`{}`)}, events)
	}))
	defer server.Close()

	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := "event: register\ndata: {}\n\nevent: message\ndata: {\"n\":1}\n\n"
	if string(body) != want {
		t.Errorf("body = %q, want %q", body, want)
	}
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type = %q", got)
	}
}
