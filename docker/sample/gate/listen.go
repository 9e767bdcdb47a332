package gate

import (
	"context"
	"errors"
	"net"

	"example.com/goverse/sample/internal/serve"
)

type listeners struct {
	grpc, api, ops net.Listener
}

// listen opens all of a gate's ports or none.
func (g *Gate) listen(ctx context.Context) (l listeners, err error) {
	for _, want := range []struct {
		address string
		into    *net.Listener
	}{
		{g.settings.Listen, &l.grpc},
		{g.settings.HTTPListen, &l.api},
		{g.settings.OpsListen, &l.ops},
	} {
		listener, err := serve.Listen(ctx, want.address)
		if err != nil {
			return listeners{}, errors.Join(err, l.close())
		}
		*want.into = listener
	}
	return l, nil
}

func (l listeners) close() (err error) {
	for _, listener := range []net.Listener{l.grpc, l.api, l.ops} {
		if listener != nil {
			err = errors.Join(err, listener.Close())
		}
	}
	return err
}
