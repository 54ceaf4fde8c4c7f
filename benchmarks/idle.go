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
	"strconv"

	"golang.org/x/sys/unix"
)

// idle is requests while other connections to the same server do nothing.
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
	measure: func(ctx context.Context, t *turn) (Sample, error) {
		if t.at.Conns > 0 {
			// Others' idle connections end first, since all contestants share the client's memory.
			if _, err := t.lab.session(ctx, "hold", self, 0, "hold-client", "-target", t.server.target, "-conns", strconv.Itoa(t.at.Conns)); err != nil {
				return Sample{}, err
			}
		}
		load := *t
		load.at.Conns = atOnce
		sample, err := load.requests(ctx)
		if bad := t.lab.endSessions(); err == nil {
			err = bad
		}
		return sample, err
	},
}

// spare are descriptors for all that is not a connection.
const spare = 200

// descriptors returns how many connections a process may have open.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Max, 1<<30)) - spare
}

// holdClient opens connections, says so, and holds them until its input ends or ctx does.
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
