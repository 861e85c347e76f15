// Command serve is the server of the scenarios, and of the files in a folder,
// for peers of other languages: it says on the first line where it listens, and
// ends when its standard input does.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/scenarios"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: serve FOLDER")
	}
	topics, coded := scenarios.NewServer(), scenarios.NewServer()
	scenarios.UseCoders(coded.Handler)
	mux := http.NewServeMux()
	mux.Handle("/ws", topics.WebSocket())
	mux.Handle("/coded", coded.WebSocket())
	mux.Handle("/", http.FileServer(http.Dir(os.Args[1])))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("http://" + listener.Addr().String())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		// Nobody can leave it behind: who started it holds the other end.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal(server.Serve(listener))
}
