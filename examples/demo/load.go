package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/unet-go/unet/examples/internal/hello"
)

// load is a number of clients that each request / again and again, over one connection, for some time.
type load struct {
	clients int
	length  time.Duration
}

// result is the result of a load.
type result struct {
	clients  int
	took     time.Duration
	requests int
	octets   int64
	errs     []error // of each client that had one
}

// run runs the load. It compares every answer.
func (l load) run(ctx context.Context, dial dialer, at netip.AddrPort) result {
	r := result{clients: l.clients}
	var mu sync.Mutex
	var clients sync.WaitGroup
	start := time.Now()
	until := start.Add(l.length)
	for range l.clients {
		clients.Go(func() {
			requests, octets, err := client(ctx, dial, at, until)
			mu.Lock()
			defer mu.Unlock()
			r.requests += requests
			r.octets += octets
			if err != nil {
				r.errs = append(r.errs, err)
			}
		})
	}
	clients.Wait()
	r.took = time.Since(start)
	return r
}

// client runs one client. It sends at least one request.
func client(ctx context.Context, dial dialer, at netip.AddrPort, until time.Time) (requests int, octets int64, err error) {
	conn, err := dial(ctx, "tcp", at.String())
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return 0, 0, err
		}
	}
	request := []byte("GET / HTTP/1.1\r\nHost: " + at.String() + "\r\n\r\n")
	counted := &counter{Conn: conn}
	r := bufio.NewReader(counted)
	for {
		if _, err := counted.Write(request); err != nil {
			return requests, counted.n, err
		}
		if err := readAnswer(r); err != nil {
			return requests, counted.n, fmt.Errorf("answer %d: %w", requests+1, err)
		}
		requests++
		if !time.Now().Before(until) {
			return requests, counted.n, nil
		}
	}
}

// readAnswer reads one answer, which must be the page /.
func readAnswer(r *bufio.Reader) error {
	t := textproto.NewReader(r)
	status, err := t.ReadLine()
	if err != nil {
		return err
	}
	if status != "HTTP/1.1 200 OK" {
		return fmt.Errorf("status %q", status)
	}
	length := -1
	for {
		line, err := t.ReadLineBytes()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		if name, value, _ := strings.Cut(string(line), ":"); strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
	if length != len(hello.Text) {
		return fmt.Errorf("length %d, not %d", length, len(hello.Text))
	}
	var body [len(hello.Text)]byte
	if _, err := io.ReadFull(r, body[:]); err != nil {
		return err
	}
	if string(body[:]) != hello.Text {
		return fmt.Errorf("body %q", body)
	}
	return nil
}

// counter counts the octets of a connection in both directions.
type counter struct {
	net.Conn
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n += int64(n)
	return n, err
}

// String is a line for people.
func (r *result) String() string {
	rate := int64(float64(r.requests) / r.took.Seconds())
	return fmt.Sprintf("%d clients for %.1f s: %s requests, %s/s, %s octets, %d errors", r.clients, r.took.Seconds(),
		thousands(int64(r.requests)), thousands(rate), thousands(r.octets), len(r.errs))
}

// err returns the first error, with the number of the others.
func (r *result) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d clients failed, the first: %w", len(r.errs), r.clients, r.errs[0])
}

// thousands writes a number that is not negative with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
