package apps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// quietRedis is a logger of go-redis that says nothing of a server that has gone.
type quietRedis struct{}

func (quietRedis) Printf(context.Context, string, ...any) {}

// TestRedis has go-redis on unet at a Redis on the kernel.
func TestRedis(t *testing.T) {
	h := overTAP(t)
	server := exec.Command(redisServer.need(t), "--bind", h.kernels, "--port", "6379", "--protected-mode", "no", "--save", "", "--appendonly", "no")
	server.Dir = t.TempDir()
	end := start(t, server, "Ready to accept connections")
	redis.SetLogger(quietRedis{})
	var dialled atomic.Int32
	c := redis.NewClient(&redis.Options{Addr: h.kernels + ":6379", PoolSize: 8, DialerRetries: 1, Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled.Add(1)
		return h.DialContext(ctx, network, address)
	}})
	defer c.Close()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *redis.Client)
	}{{"commands", redisCommands}, {"publish and subscribe", redisPubSub}, {"timeouts", redisTimeouts}} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
	t.Run("connections are used again", func(t *testing.T) {
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		before := dialled.Load()
		for range 100 {
			if err := c.Ping(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if n := dialled.Load() - before; n != 0 {
			t.Errorf("100 commands took %d connections more", n)
		}
	})
	t.Run("connections are ended, and then the server", func(t *testing.T) {
		// The client is told nothing: it finds the end of its connections when it wants to use them.
		killer := redis.NewClient(c.Options())
		defer killer.Close()
		if n, err := killer.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Result(); err != nil || n == 0 {
			t.Fatalf("%d connections were ended, %v", n, err)
		}
		if got, err := c.Get(t.Context(), "counter").Result(); err != nil || got != "1600" {
			t.Errorf("afterwards: %q, %v", got, err)
		}
		end()
		if err := c.Ping(t.Context()).Err(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a server that has gone: %v", err)
		}
	})
}

func redisCommands(t *testing.T, c *redis.Client) {
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			commands, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
				for range 200 {
					p.Incr(t.Context(), "counter")
				}
				return nil
			})
			if err != nil || len(commands) != 200 {
				t.Errorf("%d commands of a pipeline, %v", len(commands), err)
			}
		})
	}
	group.Wait()
	if got, err := c.Get(t.Context(), "counter").Int(); err != nil || got != 1600 {
		t.Errorf("counter: %d, %v", got, err)
	}
	if err := c.Watch(t.Context(), func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
			p.Set(t.Context(), "a", 1, 0)
			p.RPush(t.Context(), "list", 1, 2, 3)
			return nil
		})
		return err
	}, "a"); err != nil {
		t.Errorf("transaction: %v", err)
	}
	sent := string(text(4 << 20))
	if err := c.Set(t.Context(), "large", sent, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(t.Context(), "large").Result(); err != nil || got != sent {
		t.Errorf("%d octets of %d, %v", len(got), len(sent), err)
	}
	if err := c.Get(t.Context(), "nothing").Err(); err != redis.Nil {
		t.Errorf("nothing: %v", err)
	}
}

func redisPubSub(t *testing.T, c *redis.Client) {
	s := c.Subscribe(t.Context(), "news")
	defer s.Close()
	if _, err := s.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range 100 {
			if err := c.Publish(t.Context(), "news", fmt.Sprint("message ", i)).Err(); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range 100 {
		if m, err := s.ReceiveMessage(t.Context()); err != nil || m.Payload != fmt.Sprint("message ", i) {
			t.Fatalf("message %d: %v, %v", i, m, err)
		}
	}
}

// redisTimeouts waits for what comes late, and gives up on what does not.
func redisTimeouts(t *testing.T, c *redis.Client) {
	popped := make(chan error, 1)
	go func() {
		got, err := c.BLPop(t.Context(), time.Minute, "queue").Result()
		if err == nil && (len(got) != 2 || got[1] != "late") {
			err = fmt.Errorf("popped %q", got)
		}
		popped <- err
	}()
	if err := c.RPush(t.Context(), "queue", "late").Err(); err != nil {
		t.Fatal(err)
	}
	if err := <-popped; err != nil {
		t.Error(err)
	}
	options := *c.Options()
	options.ReadTimeout, options.MaxRetries, options.PoolSize = short, -1, 1
	hasty := redis.NewClient(&options)
	defer hasty.Close()
	if err := hasty.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), "CLIENT", "PAUSE", time.Minute.Milliseconds(), "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	if err := hasty.Set(t.Context(), "b", 1, 0).Err(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a server that pauses: %v", err)
	}
	if err := c.ClientUnpause(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := hasty.Get(t.Context(), "counter").Int(); err != nil || got != 1600 {
		t.Errorf("afterwards: %d, %v", got, err)
	}
}
