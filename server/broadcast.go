package server

import "github.com/seed-fbfaa03e/arpc"

// Broadcast sends a notify to every client that is connected now. It is
// encoded once, and slow clients do not hold up the others: a client whose send
// queue is full does not get it, which is logged.
func (s *Server) Broadcast(method string, v any) error {
	return s.BroadcastWithFilter(method, v, nil)
}

// BroadcastWithFilter is Broadcast to the clients for which keep is true; a
// nil keep is true for all.
func (s *Server) BroadcastWithFilter(method string, v any, keep func(*arpc.Client) bool) error {
	m, err := s.Handler.NewMessage(arpc.CmdNotify, method, v)
	if err != nil {
		return err
	}
	s.ForEach(func(c *arpc.Client) {
		if keep != nil && !keep(c) {
			return
		}
		if err := c.PushMsg(m, arpc.TimeZero); err != nil {
			s.Handler.Logger().Warn("arpc: broadcast", "method", method, "to", c.RemoteAddr(), "error", err)
		}
	})
	return nil
}
