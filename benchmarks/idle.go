//go:build linux

package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// idle measures requests while other connections to the same server are idle.
var idle = part{
	name: "idle", title: "Requests over 64 connections while others are idle", rows: "idle", unit: "requests/s", scale: 1, per: "request",
	about: "Each idle connection is one that fasthttp waits on with a goroutine, as it does for everybody; the client's descriptors bound " +
		"their number. Part growth goes on from there.",
	server: &httpServer,
	points: func(o *options) (points []point) {
		for _, n := range o.Ends {
			if n < descriptors() {
				points = append(points, point{Name: strconv.Itoa(n), Conns: n})
			}
		}
		return points
	},
	measure: func(ctx context.Context, t *turn) (sample Sample, err error) {
		if t.at.Conns > 0 {
			h, err := startHolder(ctx, t.server.target, t.at.Conns)
			if err != nil {
				return sample, err
			}
			defer h.end()
		}
		load := *t
		load.at.Conns = atOnce
		return load.requests(ctx)
	},
}

// A holder is a process that holds connections.
type holder struct{ cmd *exec.Cmd }

// startHolder starts a holder, and returns when all of its connections are established.
func startHolder(ctx context.Context, target string, conns int) (*holder, error) {
	cmd := command(ctx, self, "hold-client", "-target", target, "-conns", strconv.Itoa(conns))
	cmd.Stderr = os.Stderr
	_, said, err := startPiped(cmd)
	if err != nil {
		return nil, err
	}
	if lines := bufio.NewScanner(said); !lines.Scan() {
		return nil, fmt.Errorf("the holder has ended before its connections were there: %w", waitOf(cmd))
	}
	return &holder{cmd: cmd}, nil
}

// end kills the holder, whose connections the kernel closes.
func (h *holder) end() {
	_ = killGroup(h.cmd)
	_ = h.cmd.Wait() // the error is that it was killed
}

// spare is the number of descriptors for everything that is not a connection.
const spare = 200

// descriptors returns how many connections a process may have open.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Max, 1<<30)) - spare
}

// holdClient opens connections, prints a line when they are open, and holds them until its input or ctx ends.
func holdClient(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("hold-client", flag.ContinueOnError)
	target := flags.String("target", "", "host:port")
	conns := flags.Int("conns", 1, "number of connections")
	if err := flags.Parse(args); err != nil {
		return err
	}
	quiet := net.Dialer{KeepAlive: -1}
	for range *conns {
		c, err := quiet.DialContext(ctx, "tcp", *target)
		if err != nil {
			return err
		}
		defer c.Close()
	}
	fmt.Fprintln(stdout, "holds", *conns)
	_, err := bufio.NewReader(os.Stdin).ReadString(0)
	if err == io.EOF {
		return nil
	}
	return err
}
