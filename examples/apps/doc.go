// Package apps has nothing but tests: applications that know nothing of unet, unmodified, on unet. Clients and
// servers of net/http with TLS and HTTP/2, quic-go's HTTP/3, fasthttp, gRPC, WebSocket, SSH, SMTP, MQTT and DNS,
// and proxies, talk over a segment in memory, both of them on unet, and over a TAP device to the same program on
// the kernel's network, either way round. Drivers on unet ask a PostgreSQL and a Redis on the kernel's side of a
// TAP device, go-sql-driver finds that a server has closed what it keeps, and a cluster of Raft lives on three hosts in
// fake time.
//
// It is a module of its own, so that nobody who imports unet downloads what it needs:
//
//	cd examples/apps && go test ./...
//
// PostgreSQL and Redis are Debian's packages. Where they are missing, tests that run as root install them with
// apt-get, and others are skipped.
package apps
