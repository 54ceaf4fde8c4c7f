// Listens on port 8888, accepts one connection, prints the first text that arrives, and closes. SIGINT and SIGTERM end it
// earlier.
//
// Run it as root, and talk to it from another terminal:
//
//	go run ./examples/echo/unet
//	nc 10.0.0.2 8888
//
// The variables UNET_DEVICE, UNET_ADDR and so on change the device and the address (see package unet).
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/unet-go/unet/unet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := receive(ctx)
	stop() // another signal ends the program at once
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := errors.Join(err, unet.Shutdown(grace)); err != nil {
		log.Fatal(err)
	}
}

func receive(ctx context.Context) error {
	ln, err := unet.Listen("tcp", ":8888")
	if err != nil {
		return err
	}
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	conn, err := ln.Accept()
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	buf := make([]byte, 2048)
	n, err := conn.Read(buf)
	if err != nil && ctx.Err() == nil {
		return err
	}
	fmt.Printf("recv: %s\n", buf[:n])
	return nil
}
