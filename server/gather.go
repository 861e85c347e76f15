package server

import (
	"context"
	"fmt"
	"sync"

	"github.com/seed-fbfaa03e/arpc"
)

// Reply is what one client answered to Gather.
type Reply struct {
	// Client is who was asked.
	Client *arpc.Client
	// Body is the answer, if Err is nil; Decode reads it.
	Body arpc.Raw
	// Err is why there is none: the client's own error, deadline_exceeded if it
	// did not answer in time, or that its connection was lost.
	Err error
}

// Decode stores the answer in what v points to, as arpc.Client.Call does.
func (r Reply) Decode(v any) error {
	if r.Err != nil {
		return r.Err
	}
	return arpc.Decode(r.Client.Handler.Codec(), r.Body, v)
}

// Gather calls a method of every client for which keep is true, of all if it is
// nil, and collects what they answer until ctx ends: those who have not answered
// by then have an error instead. It returns one Reply for each client, in no
// order, and an error only if the request cannot be sent to anybody.
func (s *Server) Gather(ctx context.Context, method string, req any, keep func(*arpc.Client) bool) ([]Reply, error) {
	body, kind, err := arpc.Encode(s.Handler.Codec(), req)
	if err != nil {
		return nil, fmt.Errorf("gather %q: %w", method, err)
	}
	var replies []Reply
	s.ForEach(func(c *arpc.Client) {
		if keep == nil || keep(c) {
			replies = append(replies, Reply{Client: c})
		}
	})
	var asking sync.WaitGroup
	for i := range replies {
		r := &replies[i]
		asking.Go(func() { r.Err = r.Client.CallWith(ctx, method, arpc.Raw{Kind: kind, Data: body}, &r.Body) })
	}
	asking.Wait()
	return replies, nil
}
