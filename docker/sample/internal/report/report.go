// Package report tells the inspector what a node or gate holds.
package report

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	inspectorpb "example.com/goverse/sample/cmd/inspector/proto"
)

// Interval is between reports. The inspector forgets a sender that missed
// a few.
const Interval = 5 * time.Second

// Object names an object.
type Object struct{ Type, ID string }

// Report is what there is to tell.
type Report struct {
	Objects []Object
	Clients int
}

// Run reports until ctx ends, or not at all without an inspector. The
// inspector is for people to look at: failing to reach it matters to nobody
// else and is logged once.
func Run(ctx context.Context, inspector, self string, current func() Report, log *slog.Logger) {
	if inspector == "" {
		return
	}
	conn, err := grpc.NewClient(inspector, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Warn("will not report", "inspector", inspector, "error", err)
		return
	}
	defer conn.Close()
	client := inspectorpb.NewInspectorServiceClient(conn)
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	failing := false
	for {
		err := send(ctx, client, self, current())
		if failed := err != nil; failed != failing && ctx.Err() == nil {
			failing = failed
			log.Info("reports to the inspector", "inspector", inspector, "arrive", !failed, "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func send(ctx context.Context, client inspectorpb.InspectorServiceClient, self string, report Report) error {
	request := &inspectorpb.ReportRequest{Address: self, Clients: int64(report.Clients)}
	for _, object := range report.Objects {
		request.Objects = append(request.Objects, &inspectorpb.ObjectRef{Type: object.Type, Id: object.ID})
	}
	ctx, cancel := context.WithTimeout(ctx, Interval)
	defer cancel()
	_, err := client.Report(ctx, request)
	return err
}
