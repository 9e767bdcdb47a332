package main

import (
	"context"
	"sync"
	"time"

	inspectorpb "example.com/goverse/sample/cmd/inspector/proto"
	"example.com/goverse/sample/internal/report"
)

// reportTTL lets a sender miss two reports.
const reportTTL = 3 * report.Interval

// reports is the latest report of each sender.
type reports struct {
	inspectorpb.UnimplementedInspectorServiceServer

	mu        sync.Mutex
	byAddress map[string]timedReport
}

type timedReport struct {
	*inspectorpb.ReportRequest
	at time.Time
}

func newReports() *reports {
	return &reports{byAddress: make(map[string]timedReport)}
}

func (r *reports) Report(_ context.Context, request *inspectorpb.ReportRequest) (*inspectorpb.ReportResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for address, old := range r.byAddress {
		if now.Sub(old.at) > reportTTL {
			delete(r.byAddress, address)
		}
	}
	r.byAddress[request.GetAddress()] = timedReport{request, now}
	return &inspectorpb.ReportResponse{}, nil
}

// get is nil for a sender that has not reported lately; its getters still work.
func (r *reports) get(address string) *inspectorpb.ReportRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	latest, ok := r.byAddress[address]
	if !ok || time.Since(latest.at) > reportTTL {
		return nil
	}
	return latest.ReportRequest
}
