// Package apps has only tests: they run applications that were not written for unet, unmodified, on unet. Clients and
// servers of net/http with TLS and HTTP/2, quic-go's HTTP/3, fasthttp, gRPC, WebSocket, SSH, SMTP, MQTT and DNS,
// and proxies, talk over a segment in memory, with both sides on unet, and over a TAP device to the same program on
// the kernel's network, with unet on one side or the other. Drivers on unet query a PostgreSQL and a Redis on the
// kernel's side of a TAP device, go-sql-driver notices that a server has closed a connection in its pool, and a Raft
// cluster runs on three hosts in fake time.
//
// It is a module of its own, so that programs that import unet do not have its dependencies in their module graph:
//
//	cd examples/apps && go test ./...
//
// PostgreSQL and Redis are Debian's packages. Where they are missing, tests that run as root install them with
// apt-get, and others are skipped.
package apps
