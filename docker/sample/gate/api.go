package gate

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"example.com/goverse/sample/internal/sse"
	goversepb "example.com/goverse/sample/proto"
)

const maxBody = 1 << 20

// api is the gate's HTTP face.
type api struct {
	router  *router
	clients *clients
}

func newAPI(router *router, clients *clients) http.Handler {
	a := &api{router, clients}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/objects/call/{type}/{id}/{method}", a.call)
	mux.HandleFunc("POST /api/v1/objects/create/{type}/{id}", a.create)
	mux.HandleFunc("POST /api/v1/objects/delete/{type}/{id}", a.delete)
	mux.HandleFunc("GET /api/v1/events/stream", a.events)
	return http.MaxBytesHandler(mux, maxBody)
}

// call takes and gives JSON objects, which the node translates: a gate knows
// nothing of the application's messages.
func (a *api) call(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		fail(w, err)
		return
	}
	payload, err := pack(body)
	if err != nil {
		fail(w, err)
		return
	}
	response, err := a.router.CallObject(r.Context(), &goversepb.CallObjectRequest{
		Type: r.PathValue("type"), Id: r.PathValue("id"), Method: r.PathValue("method"), Request: payload,
	})
	if err != nil {
		fail(w, err)
		return
	}
	var fields structpb.Struct
	if err := response.GetResponse().UnmarshalTo(&fields); err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, &fields)
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	_, err := a.router.CreateObject(r.Context(), &goversepb.CreateObjectRequest{
		Type: r.PathValue("type"), Id: r.PathValue("id"),
	})
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusCreated, map[string]string{"id": r.PathValue("id")})
}

func (a *api) delete(w http.ResponseWriter, r *http.Request) {
	response, err := a.router.DeleteObject(r.Context(), &goversepb.DeleteObjectRequest{
		Type: r.PathValue("type"), Id: r.PathValue("id"),
	})
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]bool{"existed": response.GetExisted()})
}

// events streams what objects publish; ?type= and ?id= narrow it.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	events, cancel := a.clients.subscribe("http")
	defer cancel()
	wanted := filter{r.URL.Query().Get("type"), r.URL.Query().Get("id")}
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	messages := make(chan sse.Event)
	go func() {
		defer close(messages)
		for {
			select {
			case <-ctx.Done():
				return
			case event, open := <-events:
				if !open {
					return
				}
				data, err := eventJSON(event)
				if err != nil || !wanted.accepts(event) {
					continue
				}
				select {
				case messages <- sse.Event{Name: "message", Data: data}:
				case <-ctx.Done():
				}
			}
		}
	}()
	hello, _ := json.Marshal(map[string]string{"clientId": rand.Text()})
	sse.Stream(w, r, sse.Event{Name: "register", Data: hello}, messages)
}

// pack wraps a JSON object, or nothing, for a node.
func pack(body []byte) (*anypb.Any, error) {
	var fields structpb.Struct
	if len(bytes.TrimSpace(body)) > 0 {
		if err := fields.UnmarshalJSON(body); err != nil {
			return nil, status.Error(codes.InvalidArgument, "the body is not a JSON object")
		}
	}
	return anypb.New(&fields)
}

func reply(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(value)
}

// fail answers with the HTTP status nearest to a gRPC one.
func fail(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		reply(w, http.StatusRequestEntityTooLarge, map[string]string{"error": err.Error()})
		return
	}
	s := status.Convert(err)
	if s.Code() == codes.Unavailable {
		w.Header().Set("Retry-After", "1")
	}
	reply(w, httpStatus(s.Code()), map[string]string{"code": s.Code().String(), "error": s.Message()})
}

func httpStatus(code codes.Code) int {
	switch code {
	case codes.InvalidArgument, codes.FailedPrecondition:
		return http.StatusBadRequest
	case codes.NotFound, codes.Unimplemented:
		return http.StatusNotFound
	case codes.AlreadyExists:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}
