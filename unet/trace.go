package unet

import (
	"context"
	"net"
	"reflect"
	"sync"
)

// connectTrace is what net/http/httptrace wants to know of a dial. The zero value is told nothing.
type connectTrace struct {
	connectStart func(network, addr string)
	connectDone  func(network, addr string, err error)
}

// traceOf returns the functions that httptrace.WithClientTrace has put into ctx. They stand there in a type of
// package net's under a key of package net's, both internal. Package httptrace, which can get at them, brings
// 700 KB of TLS into a program that has no HTTP, so the key is learned from package net, and the two functions are
// read by reflection. Should a later Go keep them elsewhere, dials are not traced; TestHTTPTrace says so then.
func traceOf(ctx context.Context) (t connectTrace) {
	key := traceKey()
	if key == nil {
		return t
	}
	trace := reflect.ValueOf(ctx.Value(key))
	if trace.Kind() != reflect.Pointer || trace.IsNil() || trace.Elem().Kind() != reflect.Struct {
		return t
	}
	field(trace.Elem(), "ConnectStart", &t.connectStart)
	field(trace.Elem(), "ConnectDone", &t.connectDone)
	return t
}

// field copies a field of a struct to *to if it is of that type.
func field[T any](of reflect.Value, name string, to *T) {
	if f := of.FieldByName(name); f.IsValid() && f.CanInterface() {
		if v, ok := f.Interface().(T); ok {
			*to = v
		}
	}
}

// traceKey returns the key under which package net looks for a trace: the one that its Dialer asks a context for.
// The dial lacks an address, so it does nothing else.
var traceKey = sync.OnceValue(func() any {
	var asked keyListener
	asked.Context = context.Background()
	_, _ = new(net.Dialer).DialContext(&asked, "tcp", "")
	return asked.key
})

// keyListener is a context that remembers having been asked for a trace.
type keyListener struct {
	context.Context
	key any
}

func (c *keyListener) Value(key any) any {
	if t := reflect.TypeOf(key); t.PkgPath() == "internal/nettrace" && t.Name() == "TraceKey" {
		c.key = key
	}
	return nil
}

// start says that a dial of an address begins, as package net does for each address that it tries.
func (t connectTrace) start(n network, raddr net.Addr) {
	if t.connectStart != nil {
		t.connectStart(n.String(), raddr.String())
	}
}

// done says how it ended: err is nil or a *net.OpError.
func (t connectTrace) done(n network, raddr net.Addr, err error) {
	if t.connectDone != nil {
		t.connectDone(n.String(), raddr.String(), err)
	}
}
