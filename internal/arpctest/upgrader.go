package arpctest

import (
	"net"
	"net/http"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// upgrader serves WebSockets.
type upgrader struct {
	limits ws.Limits
	serve  func(net.Conn, arpc.Accepted)
}

func (u upgrader) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := ws.Upgrade(w, r, ws.UpgradeOptions{Limits: u.limits})
	if err != nil {
		return // it has answered the request
	}
	u.serve(conn, arpc.Accepted{Request: r})
}
