package fanout

import (
	"net"
	"net/http"

	"github.com/olahol/melody"
)

var melodyBroadcast = Contender{
	Name: "melody", About: "melody, Broadcast, default settings",
	New:      func() Publisher { return melodyServer{melody.New()} },
	Protocol: plain,
}

type melodyServer struct{ *melody.Melody }

func (s melodyServer) Serve(ln net.Listener) error {
	s.HandleConnect(func(session *melody.Session) { _ = session.Write(welcome) }) // its queue is empty
	return serveHTTP(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.HandleRequest(w, r) // it has answered
	}))
}

func (s melodyServer) Publish(text []byte) error { return s.Broadcast(text) }
