package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"

	"github.com/unet-go/unet/examples/internal/hello"
)

// page is a request, and the answer that must come back.
type page struct {
	method, path string
	body, want   func() io.Reader
	length       int64 // of want
}

const (
	download = 10_000_000
	upload   = 1_000_000
)

var pages = []page{
	{method: http.MethodGet, path: "/", want: func() io.Reader { return bytes.NewReader([]byte(hello.Text)) }, length: int64(len(hello.Text))},
	{method: http.MethodGet, path: fmt.Sprintf("/bytes?n=%d", download), want: func() io.Reader { return hello.Octets(download) }, length: download},
	{method: http.MethodPost, path: "/echo", body: func() io.Reader { return hello.Octets(upload) },
		want: func() io.Reader { return hello.Octets(upload) }, length: upload},
}

// fetch fetches the page over a connection of its own and compares it with the expected answer. It returns the
// number of octets.
func (p *page) fetch(ctx context.Context, dial dialer, at netip.AddrPort) (int64, error) {
	transport := &http.Transport{DialContext: dial}
	defer transport.CloseIdleConnections()
	var body io.Reader
	if p.body != nil {
		body = p.body()
	}
	req, err := http.NewRequestWithContext(ctx, p.method, "http://"+at.String()+p.path, body)
	if err != nil {
		return 0, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, errors.New(resp.Status)
	}
	n, err := compare(resp.Body, p.want())
	if err == nil && n != p.length {
		err = fmt.Errorf("%d octets, not %d", n, p.length)
	}
	return n, err
}

// compare reads both streams to their end. The error names the first octet that differs.
func compare(got, want io.Reader) (int64, error) {
	var at int64
	g, w := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(got, g)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return at, err
		}
		m, _ := io.ReadFull(want, w[:]) // a stream in memory
		for i := range min(n, m) {
			if g[i] != w[i] {
				return at, fmt.Errorf("octet %d is %#x, not %#x", at+int64(i), g[i], w[i])
			}
		}
		at += int64(n)
		switch {
		case n > m:
			return at, fmt.Errorf("octets follow the last one, %d", at-int64(n-m))
		case n < m:
			return at, fmt.Errorf("the stream ends after %d octets", at)
		case n < len(g):
			return at, nil
		}
	}
}
