// Package program is the frame of every main function: settings, logging,
// signals and exit codes.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// The exit codes.
const (
	failed = 1
	usage  = 2
)

// Main parses the command line and runs the program until it fails or is told
// to stop by SIGTERM or SIGINT, of which a second one kills it. It logs to
// stderr, one JSON object a line, and exits.
func Main[S any](
	name, version string,
	parse func(args []string, stderr io.Writer) (S, error),
	run func(ctx context.Context, settings S, log *slog.Logger) error,
) {
	settings, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(usage)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("program", name)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	log.Info("starting", "version", version, "go", runtime.Version(), "settings", settings)
	if err := run(ctx, settings, log); err != nil {
		log.Error("failed", "error", err)
		os.Exit(failed)
	}
}
