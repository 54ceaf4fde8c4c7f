package unet

import (
	"context"
	"net"
	"reflect"
	"sync"
)

// connectTrace has the functions of net/http/httptrace that are called during a dial. The zero value has none.
type connectTrace struct {
	connectStart func(network, addr string)
	connectDone  func(network, addr string, err error)
}

// traceOf returns the functions that httptrace.WithClientTrace has put into ctx. The value there has an internal type of
// package net, and the key is internal too. Package httptrace could read them, but it adds 700 KB of TLS to a program
// without HTTP. So the key is found with the help of package net, and the two functions are read by reflection. If a
// later version of Go keeps them in another place, dials are not traced, and TestHTTPTrace fails.
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

// traceKey returns the key under which package net looks for a trace: its Dialer asks a context for the key's value. The
// dial has no address, so it does nothing else.
var traceKey = sync.OnceValue(func() any {
	var asked keyListener
	asked.Context = context.Background()
	_, _ = new(net.Dialer).DialContext(&asked, "tcp", "")
	return asked.key
})

// keyListener is a context that stores the key of a trace when its Value is called with it.
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

// start calls ConnectStart: a dial of an address begins. Package net calls it for each address that it tries.
func (t connectTrace) start(n network, raddr net.Addr) {
	if t.connectStart != nil {
		t.connectStart(n.String(), raddr.String())
	}
}

// done calls ConnectDone: the dial has ended with err, which is nil or a *net.OpError.
func (t connectTrace) done(n network, raddr net.Addr, err error) {
	if t.connectDone != nil {
		t.connectDone(n.String(), raddr.String(), err)
	}
}
