package server

import "github.com/seed-fbfaa03e/arpc"

// Stats is what all connections of the server hold now. It looks at each of them.
func (s *Server) Stats() arpc.Stats {
	var all arpc.Stats
	for _, c := range s.connections() {
		all.Add(c.Stats())
	}
	return all
}
