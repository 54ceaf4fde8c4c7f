// The smallest fasthttp server on the kernel's TCP. The size of its binary is measured.
package main

import (
	"log"
	"net"

	"github.com/valyala/fasthttp"
)

func main() {
	ln, err := net.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(fasthttp.Serve(ln, func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("Hello, World!") }))
}
