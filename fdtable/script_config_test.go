package fdtable_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing/synctest"
	"time"

	"github.com/unet-go/unet/fdtable"
	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// open makes the host and the link according to the config lines. They name fields of stack.Config, or mtu (of the link),
// addr (more addresses of the host) and irs (the peer's initial sequence number).
func (r *runner) open() error {
	cfg := stack.Config{Name: "host", Shards: 1}
	mtu, addrs, err := r.settings(func(name, value string) error {
		return setField(reflect.ValueOf(&cfg).Elem(), name, value)
	})
	if err != nil {
		return err
	}
	r.edges.place(&cfg)
	host, err := stack.New(cfg)
	if err != nil {
		return err
	}
	r.host, r.table = host, fdtable.New(host)
	r.sockets = r.table
	r.segment = sim.NewSegment(sim.Config{MTU: mtu})
	r.segment.WritePcap(&r.pcap)
	dev := r.segment.NewPort(sim.PortConfig{Name: "host", MAC: hostMAC})
	r.port = r.segment.NewPort(sim.PortConfig{Name: "peer"})
	r.mac, r.hostMAC, r.mtu = r.port.Info().MAC, hostMAC, mtu
	r.put = func(burst [][]byte) { r.transmit(burst); synctest.Wait() }
	go r.listen()
	if err := host.Attach(dev, stack.Interface{Addrs: addrs, DADTransmits: -1}); err != nil {
		r.close()
		return err
	}
	return nil
}

// settings reads the config lines. It returns the link's MTU and the host's addresses, and calls set for all other names.
func (r *runner) settings(set func(name, value string) error) (mtu int, addrs []netip.Prefix, err error) {
	wider := r.script.family.wider
	mtu, addrs = r.script.family.mtu+wider, []netip.Prefix{netip.PrefixFrom(r.script.family.host, r.script.family.bits)}
	for _, word := range r.script.config {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "mtu":
			mtu, err = strconv.Atoi(value)
			mtu += wider
		case "irs":
			var n uint64
			n, err = strconv.ParseUint(value, 0, 32)
			r.flows["a"].irs = r.irs(uint32(n))
		case "addr":
			for one := range strings.SplitSeq(value, ",") {
				p, e := netip.ParsePrefix(one)
				addrs, err = append(addrs, p), e
			}
		default:
			err = set(name, value)
		}
		if err != nil {
			return 0, nil, fmt.Errorf("config %s: %w", word, err)
		}
	}
	return mtu, addrs, nil
}

// setField sets a field of a struct, TCP.MSL for instance.
func setField(v reflect.Value, name, value string) error {
	for part := range strings.SplitSeq(name, ".") {
		if v.Kind() != reflect.Struct || !v.FieldByName(part).IsValid() {
			return fmt.Errorf("there is no %s", name)
		}
		v = v.FieldByName(part)
	}
	var err error
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		var n int64
		if v.Type() == reflect.TypeFor[time.Duration]() {
			var d time.Duration
			d, err = time.ParseDuration(value)
			n = int64(d)
		} else {
			n, err = strconv.ParseInt(value, 0, 64)
		}
		v.SetInt(n)
	case reflect.Uint8:
		var n uint64
		n, err = strconv.ParseUint(value, 0, 8)
		v.SetUint(n)
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(value)
		v.SetBool(b)
	case reflect.String:
		v.SetString(value)
	default:
		err = fmt.Errorf("%s is of type %v", name, v.Type())
	}
	return err
}

// lookUp prints a field of a struct, or an element of an array that is numbered by state or reason.
func lookUp(v reflect.Value, name string) (string, error) {
	for part := range strings.SplitSeq(name, ".") {
		switch v.Kind() {
		case reflect.Struct:
			v = v.FieldByName(part)
		case reflect.Array:
			v = element(v, part)
		default:
			v = reflect.Value{}
		}
		if !v.IsValid() {
			return "", fmt.Errorf("there is no %s", name)
		}
	}
	if errno, ok := v.Interface().(syscall.Errno); ok {
		return errnoName(errno), nil
	}
	return fmt.Sprint(v.Interface()), nil
}

func element(v reflect.Value, name string) reflect.Value {
	for i := range v.Len() {
		if tcp.State(i).String() == name || strings.ReplaceAll(stack.Drop(i).String(), " ", "-") == name {
			return v.Index(i)
		}
	}
	return reflect.Value{}
}

// errnos are the names of the errors that scripts expect.
var errnos = map[syscall.Errno]string{
	0: "0", syscall.EAGAIN: "EAGAIN", syscall.EBADF: "EBADF", syscall.EINVAL: "EINVAL", syscall.EPIPE: "EPIPE",
	syscall.ECONNRESET: "ECONNRESET", syscall.ECONNREFUSED: "ECONNREFUSED", syscall.ECONNABORTED: "ECONNABORTED",
	syscall.ETIMEDOUT: "ETIMEDOUT", syscall.EHOSTUNREACH: "EHOSTUNREACH", syscall.ENETUNREACH: "ENETUNREACH",
	syscall.EINPROGRESS: "EINPROGRESS", syscall.EALREADY: "EALREADY", syscall.EISCONN: "EISCONN",
	syscall.ENOTCONN: "ENOTCONN", syscall.EADDRINUSE: "EADDRINUSE", syscall.EADDRNOTAVAIL: "EADDRNOTAVAIL",
	syscall.EAFNOSUPPORT: "EAFNOSUPPORT", syscall.EMSGSIZE: "EMSGSIZE", syscall.EOPNOTSUPP: "EOPNOTSUPP",
	syscall.ENOPROTOOPT: "ENOPROTOOPT", syscall.EPROTO: "EPROTO", syscall.EHOSTDOWN: "EHOSTDOWN",
	syscall.EACCES: "EACCES", syscall.EMFILE: "EMFILE", syscall.ENOENT: "ENOENT", syscall.ENETDOWN: "ENETDOWN", syscall.EEXIST: "EEXIST",
}

func errnoName(e syscall.Errno) string {
	if name, known := errnos[e]; known {
		return name
	}
	return fmt.Sprintf("errno %d", int(e))
}

// declare is a flow line: flow NAME [again] [host=ENDPOINT] [peer=ENDPOINT] [irs=N].
func (r *runner) declare(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("flow takes a name")
	}
	f := r.flows[args[0]]
	if f == nil {
		f = r.newFlow(args[0])
		r.flows[f.name] = f
	}
	args = args[1:]
	if len(args) > 0 && args[0] == "again" {
		f.again()
		args = args[1:]
	}
	values, err := fields(args, "host peer irs")
	if err != nil {
		return err
	}
	for name, a := range map[string]*netip.AddrPort{"host": &f.host, "peer": &f.peer} {
		if text, said := values[name]; said {
			if *a, err = endpoint(text, a.Addr()); err != nil {
				return err
			}
		}
	}
	if text, said := values["irs"]; said {
		n, err := strconv.ParseUint(text, 0, 32)
		f.irs = r.irs(uint32(n))
		return err
	}
	return nil
}

// endpoint reads IP:PORT, with brackets around an IP of version 6, or :PORT of an address.
func endpoint(text string, addr netip.Addr) (netip.AddrPort, error) {
	if port, ok := strings.CutPrefix(text, ":"); ok {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			return netip.AddrPortFrom(addr, uint16(n)), nil
		}
	}
	a, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		return a, fmt.Errorf("%q is no IP:PORT", text)
	case a.Addr().Is4() != addr.Is4():
		return a, fmt.Errorf("%s is of the other family", text)
	}
	return a, nil
}

func (r *runner) flow(name string) (*flow, error) {
	if f := r.flows[name]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("no flow is named %s", name)
}

// switchARP runs "arp on" and "arp off": whether the peer answers questions about neighbours. While it does not, > lines
// must expect the questions.
func (r *runner) switchARP(args []string) error {
	if len(args) != 1 || args[0] != "on" && args[0] != "off" {
		return fmt.Errorf("arp on or arp off")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arp = args[0] == "on"
	return nil
}
