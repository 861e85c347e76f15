// Command serve is the server of the scenarios, and of the files in a folder,
// for peers of other languages: it says on the first line where it listens, and
// ends when its standard input does. Pages that reach it by the name of localhost
// may call over HTTP what they see as another origin, its IP address.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/scenarios"
	"github.com/seed-fbfaa03e/arpc/server"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: serve FOLDER")
	}
	sockets := scenarios.NewSockets()
	topics, coded := scenarios.NewServer(sockets), scenarios.NewServer(sockets)
	scenarios.UseCoders(coded.Handler)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	calls := server.New(server.AllowOrigins("http://localhost:" + port))
	calls.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	mux := http.NewServeMux()
	mux.Handle("/ws", topics.WebSocket())
	mux.Handle("/coded", coded.WebSocket())
	mux.Handle("/call/", http.StripPrefix("/call", calls.HTTP()))
	mux.Handle("/", http.FileServer(http.Dir(os.Args[1])))

	fmt.Println("http://" + listener.Addr().String())
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		// Nobody can leave it behind: who started it holds the other end.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal(web.Serve(sockets.Watch(listener)))
}
