package ops

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHandler(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "goverse_objects_total"}))
	notReady := errors.New("not registered in etcd")
	var state error
	handler := Handler(func() error { return state }, registry)

	for _, test := range []struct {
		path   string
		state  error
		status int
		body   string
	}{
		{"/healthz", nil, http.StatusOK, "ok"},
		{"/healthz", notReady, http.StatusOK, "ok"},
		{"/ready", nil, http.StatusOK, "ready"},
		{"/ready", notReady, http.StatusServiceUnavailable, "not registered in etcd"},
		{"/metrics", nil, http.StatusOK, "goverse_objects_total 0"},
		{"/debug/pprof/", nil, http.StatusOK, "goroutine"},
		{"/other", nil, http.StatusNotFound, ""},
	} {
		state = test.state
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, test.path, nil))
		if recorder.Code != test.status || !strings.Contains(recorder.Body.String(), test.body) {
			t.Errorf("%s with %v: %d %q, want %d with %q",
				test.path, test.state, recorder.Code, recorder.Body, test.status, test.body)
		}
	}
}
