package contender

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-fbfaa03e/arpc/bench/drive"
)

// redises publish to a stream of a redis-server, which has to be installed.
var redises = []Contender{
	{
		Name: "redis-always", About: "Redis Streams, XADD, appendfsync always",
		Serve: serveRedis("always"), Dial: dialRedis, Versions: redisVersion,
	},
	{
		Name: "redis-everysec", About: "Redis Streams, XADD, appendfsync everysec: a second's publications may be lost",
		Serve: serveRedis("everysec"), Dial: dialRedis, Versions: redisVersion,
	},
}

// serveRedis runs a redis-server on the port of the listener. It ends with this
// process.
func serveRedis(fsync string) func(net.Listener) error {
	return func(ln net.Listener) error {
		_, port, err := net.SplitHostPort(ln.Addr().String())
		if err != nil {
			return err
		}
		folder, err := emptyFolder()
		if err != nil {
			return err
		}
		if err := ln.Close(); err != nil {
			return err
		}
		runtime.LockOSThread() // the server ends with the thread that started it
		cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", folder,
			"--save", "", "--appendonly", "yes", "--appendfsync", fsync)
		cmd.Stderr = os.Stderr
		endWithParent(cmd)
		return cmd.Run()
	}
}

// redisVersion is that of the redis-server.
func redisVersion() map[string]string {
	said, err := exec.Command("redis-server", "--version").Output()
	if err != nil {
		return nil // it will not start either
	}
	for _, word := range strings.Fields(string(said)) {
		if version, ok := strings.CutPrefix(word, "v="); ok {
			return map[string]string{"Redis": version}
		}
	}
	return nil
}

// streamer publishes to a stream.
type streamer struct {
	client *redis.Client
	text   string
}

func dialRedis(t Target) (drive.Caller, error) {
	c := redis.NewClient(&redis.Options{Addr: t.Address, PoolSize: 1, Protocol: 2, DisableIdentity: true})
	for { // it may still be starting
		err := c.Ping(t.Context).Err()
		if err == nil {
			return &streamer{c, t.Text}, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context.Done():
			return nil, err
		}
	}
}

func (s *streamer) Call() error {
	id, err := s.client.XAdd(context.Background(), &redis.XAddArgs{
		Stream: published, MaxLen: held, Approx: true, Values: []string{"text", s.text},
	}).Result()
	if err == nil && id == "" {
		err = fmt.Errorf("published, but to no place")
	}
	return err
}

func (s *streamer) Close() error { return s.client.Close() }
