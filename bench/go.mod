module github.com/seed-fbfaa03e/arpc/bench

go 1.26.0

replace github.com/seed-fbfaa03e/arpc => ../

ignore ./socketio/node_modules

require (
	github.com/gorilla/websocket v1.5.3
	github.com/olahol/melody v1.4.0
	github.com/redis/go-redis/v9 v9.23.0
	github.com/seed-fbfaa03e/arpc v0.0.0-00010101000000-000000000000
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
)
