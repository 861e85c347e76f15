module github.com/seed-fbfaa03e/arpc/examples/quic

go 1.26.0

require (
	github.com/quic-go/quic-go v0.59.0
	github.com/seed-fbfaa03e/arpc v0.0.0
)

require (
	github.com/gorilla/websocket v1.5.3 // indirect
	golang.org/x/crypto v0.57.0 // indirect
	golang.org/x/net v0.59.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
)

replace github.com/seed-fbfaa03e/arpc => ../..
