// Command server is a node that hosts chat rooms: the kind of program that an
// application built on Goverse is.
package main

import (
	"context"
	"log/slog"

	"example.com/goverse/sample/internal/config"
	"example.com/goverse/sample/internal/program"
	"example.com/goverse/sample/node"
)

// version is set by the linker.
var version = "dev"

func main() {
	program.Main("node", version, config.ParseNode, func(ctx context.Context, settings config.Node, log *slog.Logger) error {
		return node.New(settings, version, map[string]node.Factory{"ChatRoom": newRoom}, log).Run(ctx)
	})
}
