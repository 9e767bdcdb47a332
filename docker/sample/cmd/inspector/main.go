// Command inspector shows a cluster to people: its nodes and gates, the objects
// they hold and where the shards are. Nothing depends on it.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	inspectorpb "example.com/goverse/sample/cmd/inspector/proto"
	"example.com/goverse/sample/internal/cluster"
	"example.com/goverse/sample/internal/config"
	"example.com/goverse/sample/internal/program"
	"example.com/goverse/sample/internal/serve"
)

const stopLimit = 5 * time.Second

// version is set by the linker.
var version = "dev"

func main() {
	program.Main("inspector", version, config.ParseInspector, run)
}

func run(ctx context.Context, settings config.Inspector, log *slog.Logger) error {
	// A root keeps links inside the folder from leading out of it.
	static, err := os.OpenRoot(settings.StaticDir)
	if err != nil {
		return err
	}
	defer static.Close()
	grpcListener, err := serve.Listen(ctx, settings.GRPC)
	if err != nil {
		return err
	}
	httpListener, err := serve.Listen(ctx, settings.HTTP)
	if err != nil {
		return errors.Join(err, grpcListener.Close())
	}
	client, err := cluster.Connect(settings.Endpoints)
	if err != nil {
		return err
	}
	defer client.Close()

	watcher := cluster.NewWatcher(client, settings.Prefix, log)
	reports := newReports()
	site := &site{watcher: watcher, reports: reports, shards: settings.Shards, done: ctx.Done()}
	grpcServer := serve.GRPC()
	inspectorpb.RegisterInspectorServiceServer(grpcServer, reports)
	httpServer := serve.HTTP(site.handler(static.FS()), log)
	failed := make(chan error, 2)
	serve.RunGRPC(grpcServer, grpcListener, failed)
	serve.RunHTTP(httpServer, httpListener, failed)

	watching, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	work.Go(func() { watcher.Run(watching) })

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop()
	work.Wait()
	serve.StopGRPC(grpcServer, stopLimit, log)
	serve.StopHTTP(httpServer, stopLimit, log)
	log.Info("stopped")
	return err
}
