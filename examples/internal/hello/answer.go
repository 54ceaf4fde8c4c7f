// Package hello is the site that the examples serve, the same from net/http and from fasthttp: "Hello, World!" at
// /, the body of a POST at /echo, and n octets at /bytes?n=1000000.
package hello

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// An answer is the answer to a request, from either server.
type answer struct {
	status int
	kind   string // Content-Type
	allow  string // Allow, with status 405
	text   []byte // the body, or
	body   io.Reader
	length int64 // of body in octets; -1 when it is not known
}

const plain = "text/plain; charset=utf-8"

// Text is the body of the page /.
const Text = "Hello, World!"

var hello = []byte(Text)

// maxBytes is the greatest length of /bytes: 1 TiB.
const maxBytes = 1 << 40

// answerTo is the one handler of both servers. n returns the parameter n of the query; body is the request's,
// nil when there is none, and length its size, -1 when it is not known.
func answerTo(method, path string, n func() string, kind string, body io.Reader, length int64) answer {
	switch path {
	case "/":
		if method != http.MethodGet && method != http.MethodHead {
			return refuse("GET, HEAD")
		}
		return answer{status: http.StatusOK, kind: plain, text: hello}
	case "/bytes":
		if method != http.MethodGet && method != http.MethodHead {
			return refuse("GET, HEAD")
		}
		size, err := strconv.ParseInt(n(), 10, 64)
		if err != nil || size < 0 || size > maxBytes {
			text := fmt.Sprintf("n must be a number from 0 to %d\n", int64(maxBytes))
			return answer{status: http.StatusBadRequest, kind: plain, text: []byte(text)}
		}
		return answer{status: http.StatusOK, kind: "application/octet-stream", body: &octets{size: size}, length: size}
	case "/echo":
		if method != http.MethodPost && method != http.MethodPut {
			return refuse("POST, PUT")
		}
		if kind == "" {
			kind = "application/octet-stream"
		}
		if body == nil {
			return answer{status: http.StatusOK, kind: kind}
		}
		return answer{status: http.StatusOK, kind: kind, body: body, length: length}
	}
	return answer{status: http.StatusNotFound, kind: plain, text: []byte("try /, /echo or /bytes?n=1000\n")}
}

func refuse(allow string) answer {
	return answer{status: http.StatusMethodNotAllowed, kind: plain, allow: allow, text: []byte("use " + allow + "\n")}
}

// octets is a stream of size octets that a client can check: octet i is i modulo 256.
type octets struct{ at, size int64 }

// Octets returns the body of /bytes for the given n.
func Octets(n int64) io.Reader { return &octets{size: n} }

var pattern = func() (p [64 << 10]byte) {
	for i := range p {
		p[i] = byte(i)
	}
	return p
}()

// Read implements io.Reader.
func (o *octets) Read(p []byte) (int, error) {
	left := o.size - o.at
	if left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), left)], pattern[o.at&255:])
	o.at += int64(n)
	return n, nil
}
