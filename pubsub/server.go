package pubsub

import (
	"context"

	"github.com/seed-fbfaa03e/arpc/server"
)

// Server is a server.Server with a Hub: its clients can publish and subscribe.
type Server struct {
	*server.Server
	// Hub has the topics.
	Hub *Hub
}

// NewServer returns a server with a hub of the given options. A server.Server
// with options of its own gets a hub through Hub.Mount.
func NewServer(opts ...Option) *Server {
	s := &Server{Server: server.New(), Hub: NewHub(opts...)}
	s.Hub.Mount(s.Handler)
	return s
}

// Publish is Hub.Publish.
func (s *Server) Publish(topic string, v any, opts ...PublishOption) (Position, error) {
	return s.Hub.Publish(topic, v, opts...)
}

// PublishToOne is Hub.PublishToOne.
func (s *Server) PublishToOne(topic string, v any) error { return s.Hub.PublishToOne(topic, v) }

// Shutdown is server.Server.Shutdown, and closes the hub.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.Server.Shutdown(ctx)
	s.Hub.Close()
	return err
}
