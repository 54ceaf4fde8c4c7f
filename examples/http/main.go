// An HTTP server on a TAP device: net/http or fasthttp, both unmodified, over unet.
//
//	go run ./examples/http -server fasthttp -listen :8080     (as root)
//	curl http://10.0.0.2:8080/
//
// It serves "Hello, World!" at /, the body of a POST at /echo and n octets at /bytes?n=1000000, until it is
// interrupted; then it lets the requests in progress finish and their answers arrive. With -kernel it serves the same on the
// kernel's own TCP, for comparison.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/unet-go/unet/unet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, unet.Open))
}
