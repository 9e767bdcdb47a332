// Command gate connects clients to the objects of a cluster.
package main

import (
	"context"
	"log/slog"

	"example.com/goverse/sample/gate"
	"example.com/goverse/sample/internal/config"
	"example.com/goverse/sample/internal/program"
)

// version is set by the linker.
var version = "dev"

func main() {
	program.Main("gate", version, config.ParseGate, func(ctx context.Context, settings config.Gate, log *slog.Logger) error {
		return gate.New(settings, version, log).Run(ctx)
	})
}
