//go:build linux

package main

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"

	"github.com/valyala/fasthttp"
)

const text = "Hello, World!"

// servers are the servers of the modes, the same as those of examples/http and of the benchmark.
var servers = map[string]func(net.Listener) error{
	"fasthttp": func(ln net.Listener) error {
		return fasthttp.Serve(ln, func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType("text/plain; charset=utf-8")
			ctx.SetBodyString(text)
		})
	},
	"nethttp": func(ln net.Listener) error {
		return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, text)
		}))
	},
	"bulk": func(ln net.Listener) error {
		for {
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			go stream(c)
		}
	},
}

// chunk is the size in octets of a read or a write.
const chunk = 256 << 10

// stream serves one stream. After a first octet 'd' it sends octets until the connection ends; after 'u' it counts the
// octets that arrive and sends their number.
func stream(c net.Conn) {
	defer c.Close()
	buf := make([]byte, chunk)
	if _, err := io.ReadFull(c, buf[:1]); err != nil {
		return
	}
	if buf[0] == 'd' {
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}
	var octets uint64
	for {
		n, err := c.Read(buf)
		octets += uint64(n)
		if err != nil {
			_, _ = c.Write(binary.BigEndian.AppendUint64(nil, octets))
			return
		}
	}
}
