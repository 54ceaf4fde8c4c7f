// The smallest fasthttp server on unet. The size of its binary is measured.
package main

import (
	"log"

	"github.com/valyala/fasthttp"

	"github.com/unet-go/unet/unet"
)

func main() {
	ln, err := unet.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(fasthttp.Serve(ln, func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("Hello, World!") }))
}
