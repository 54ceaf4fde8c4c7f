// Listens on port 8888, accepts one connection, prints what arrives first, and closes.
//
// Run it as root, and talk to it from another terminal:
//
//	go run ./examples/echo/unet
//	nc 10.0.0.2 8888
//
// The variables UNET_DEVICE, UNET_ADDR and so on change the device and the address (see package unet).
package main

import (
	"fmt"
	"log"

	"github.com/unet-go/unet/unet"
)

func main() {
	ln, err := unet.Listen("tcp", ":8888")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	conn, err := ln.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 2048)
	n, err := conn.Read(buf)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("recv: %s\n", buf[:n])
}
