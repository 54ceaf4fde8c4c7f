// Package apps has nothing but tests: applications that know nothing of unet, unmodified, on unet. Clients and
// servers of net/http with TLS and HTTP/2, fasthttp, gRPC, WebSocket, SSH and reverse proxies talk over a
// segment in memory, both of them on unet, and over a TAP device to the same program on the kernel's TCP, either
// way round.
//
// It is a module of its own, so that nobody who imports unet downloads what it needs:
//
//	cd examples/apps && go test ./...
package apps
