// Package serve makes HTTP and gRPC servers that no client can hold open for
// ever, and stops them within a bound.
package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// HTTP is a server with a limit on every phase of a request. Handlers that
// stream lift their own deadlines.
func HTTP(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		// Longer than a 30-second CPU profile.
		WriteTimeout:   60 * time.Second,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// GRPC is a server that lets clients ping often enough to notice a lost peer,
// and that drops clients which no longer answer.
func GRPC() *grpc.Server {
	return grpc.NewServer(
		grpc.ConnectionTimeout(10*time.Second),
		grpc.MaxConcurrentStreams(1000),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
}

// Listen is net.Listen for TCP; an empty address means no listener.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", address)
}

// RunHTTP serves in the background and reports only a failure. It does nothing
// without a listener.
func RunHTTP(server *http.Server, listener net.Listener, failed chan<- error) {
	if listener == nil {
		return
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
}

// RunGRPC serves in the background and reports only a failure.
func RunGRPC(server *grpc.Server, listener net.Listener, failed chan<- error) {
	go func() {
		if err := server.Serve(listener); err != nil {
			failed <- err
		}
	}()
}

// StopHTTP lets requests finish for at most limit, then cuts them off.
func StopHTTP(server *http.Server, limit time.Duration, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("requests cut off by shutdown", "error", err)
		server.Close()
	}
}

// StopGRPC lets calls finish for at most limit, then cuts them off. Streams
// must be ended by their handlers, or they take all of limit.
func StopGRPC(server *grpc.Server, limit time.Duration, log *slog.Logger) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.GracefulStop()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		log.Warn("calls cut off by shutdown", "limit", limit)
		server.Stop()
		<-done
	}
}
