package server

import (
	"maps"
	"slices"

	"github.com/seed-fbfaa03e/arpc"
)

// users are the clients by the ID of their identity. It belongs to whoever
// guards it.
type users struct {
	clients map[string]map[*arpc.Client]struct{}
	ids     map[*arpc.Client]string // the same, the other way round
}

func newUsers() users {
	return users{clients: map[string]map[*arpc.Client]struct{}{}, ids: map[*arpc.Client]string{}}
}

// add notes who a client is now, whoever it was before.
func (u users) add(c *arpc.Client) {
	u.remove(c)
	who := c.Identity()
	if who == nil {
		return
	}
	if u.clients[who.ID] == nil {
		u.clients[who.ID] = map[*arpc.Client]struct{}{}
	}
	u.clients[who.ID][c], u.ids[c] = struct{}{}, who.ID
}

func (u users) remove(c *arpc.Client) {
	id, ok := u.ids[c]
	if !ok {
		return
	}
	delete(u.ids, c)
	delete(u.clients[id], c)
	if len(u.clients[id]) == 0 {
		delete(u.clients, id)
	}
}

// ClientsOf returns the clients of a user: all connections that have an identity
// with that ID, in no order.
func (s *Server) ClientsOf(user string) []*arpc.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.users.clients[user]))
}

// SendToUser sends a notify to every client of a user, and returns to how many. A
// client whose send queue is full does not get it, which is logged. Who needs it
// whatever happens subscribes to a topic of its own.
func (s *Server) SendToUser(user, method string, v any) (clients int, err error) {
	m, err := s.Handler.NewMessage(arpc.CmdNotify, method, v)
	if err != nil {
		return 0, err
	}
	for _, c := range s.ClientsOf(user) {
		if err := c.PushMsg(m, arpc.TimeZero); err != nil {
			s.Handler.Logger().Warn("arpc: send to user", "method", method, "to", c.RemoteAddr(), "error", err)
			continue
		}
		clients++
	}
	return clients, nil
}

// DisconnectUser ends every connection of a user and returns how many there
// were. A peer on a WebSocket reads the reason in the close frame: at most 123
// bytes. To keep the user out, its credentials have to be refused as well.
func (s *Server) DisconnectUser(user, reason string) int {
	clients := s.ClientsOf(user)
	for _, c := range clients {
		c.Disconnect(arpc.Errorf(arpc.CodePermissionDenied, "%s", reason))
	}
	return len(clients)
}
