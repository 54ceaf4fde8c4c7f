package apps

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/unet-go/unet/unet"
)

// quietMySQL is a logger of the driver's that says nothing of a server that has gone.
type quietMySQL struct{}

func (quietMySQL) Print(...any) {}

// mysqlServer says as much of MySQL's protocol as a driver needs to connect and to ask for a number.
type mysqlServer struct {
	mu    sync.Mutex
	conns []net.Conn
	all   sync.WaitGroup
}

func (s *mysqlServer) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		s.all.Go(func() {
			defer c.Close()
			_ = (&mysqlSession{conn: c}).run()
		})
	}
}

// end ends all connections, by end and Close.
func (s *mysqlServer) end(end func(net.Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		end(c)
		_ = c.Close()
	}
	s.conns = nil
}

// mysqlSession is one connection of a server.
type mysqlSession struct {
	conn net.Conn
	seq  byte
}

func (s *mysqlSession) send(payload ...byte) error {
	n := len(payload)
	_, err := s.conn.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), s.seq}, payload...))
	s.seq++
	return err
}

func (s *mysqlSession) receive() ([]byte, error) {
	var h [4]byte
	if _, err := io.ReadFull(s.conn, h[:]); err != nil {
		return nil, err
	}
	s.seq = h[3] + 1
	p := make([]byte, int(h[0])|int(h[1])<<8|int(h[2])<<16)
	_, err := io.ReadFull(s.conn, p)
	return p, err
}

const (
	// LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH
	mysqlCapabilities = 1 | 8 | 0x200 | 0x2000 | 0x8000 | 0x80000
	comQuit           = 1
	comQuery          = 3
)

func (s *mysqlSession) run() error {
	hello := append([]byte{10}, "8.0.36\x00\x01\x00\x00\x0012345678\x00"...)
	hello = append(hello, byte(mysqlCapabilities&0xff), byte(mysqlCapabilities>>8&0xff), 45, 2, 0,
		byte(mysqlCapabilities>>16), 0, 21)
	hello = append(hello, make([]byte, 10)...)
	hello = append(hello, "123456789012\x00mysql_native_password\x00"...)
	if err := s.send(hello...); err != nil {
		return err
	}
	if _, err := s.receive(); err != nil { // whatever it says
		return err
	}
	ok := []byte{0, 0, 0, 2, 0, 0, 0}
	if err := s.send(ok...); err != nil {
		return err
	}
	for {
		p, err := s.receive()
		if err != nil || len(p) == 0 || p[0] == comQuit {
			return err
		}
		if p[0] != comQuery {
			if err := s.send(ok...); err != nil {
				return err
			}
			continue
		}
		column := []byte("\x03def\x00\x00\x00\x011\x00\x0c\x3f\x00\x01\x00\x00\x00\x08\x81\x00\x00\x00\x00")
		end := []byte{0xfe, 0, 0, 2, 0}
		for _, payload := range [][]byte{{1}, column, end, []byte("\x0217"), end} {
			if err := s.send(payload...); err != nil {
				return err
			}
		}
	}
}

// hasGone says whether the peer of a connection has closed it, as far as c knows.
func hasGone(c net.Conn) bool {
	if c, ok := c.(*unet.TCPConn); ok {
		_, err := c.Buffered()
		return err != nil
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	var errno error
	_ = raw.Read(func(fd uintptr) bool {
		_, _, errno = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return errno != syscall.EAGAIN
}

// checked and dialChecked are the recipe of docs/pools.md.
type checked struct{ *unet.TCPConn }

func (c checked) Write(b []byte) (int, error) {
	if _, err := c.Buffered(); err != nil {
		return 0, err
	}
	return c.TCPConn.Write(b)
}

// pruned has a server end ten connections of a pool, and returns how many of ten queries then fail.
func pruned(t *testing.T, w *world, wrap func(net.Conn) net.Conn, end func(net.Conn)) (failed int) {
	t.Helper()
	l := w.listening(t)
	var server mysqlServer
	server.all.Go(func() { server.serve(l) })
	defer server.all.Wait()
	defer server.end(func(net.Conn) {})
	defer l.Close()

	var mu sync.Mutex
	var dialled []net.Conn
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr, cfg.Logger = "u", "tcp", l.Addr().String(), quietMySQL{}
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := w.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		dialled = append(dialled, c)
		return wrap(c), nil
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	const pool = 10
	db.SetMaxIdleConns(pool)
	ask := func(q interface {
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}) error {
		var n int
		if err := q.QueryRowContext(t.Context(), "SELECT 17").Scan(&n); err != nil {
			return err
		}
		if n != 17 {
			t.Errorf("%d", n)
		}
		return nil
	}
	var conns []*sql.Conn
	for range pool {
		c, err := db.Conn(t.Context())
		if err == nil {
			err = ask(c)
		}
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		_ = c.Close() // back to the pool
	}
	server.end(end)
	mu.Lock()
	old := dialled[:len(dialled):len(dialled)]
	mu.Unlock()
	for _, c := range old {
		for !hasGone(c) {
			time.Sleep(time.Millisecond)
		}
	}
	for range pool {
		if err := ask(db); err != nil {
			var said *mysql.MySQLError
			if !errors.Is(err, mysql.ErrInvalidConn) && !errors.As(err, &said) {
				t.Errorf("a query fails with %v", err)
			}
			failed++
		}
	}
	return failed
}

// TestMySQLPruned has go-sql-driver find that the server has closed the connections that it keeps.
func TestMySQLPruned(t *testing.T) {
	as := func(c net.Conn) net.Conn { return c }
	recipe := func(c net.Conn) net.Conn {
		if c, ok := c.(*unet.TCPConn); ok {
			return checked{c}
		}
		return c
	}
	ends := []struct {
		name    string
		end     func(net.Conn)
		without int // how many of ten queries fail without the recipe
	}{
		{"closes", func(net.Conn) {}, 10},
		{"resets", func(c net.Conn) { _ = c.(interface{ SetLinger(int) error }).SetLinger(0) }, 0}, // the first Write fails, and takes nothing
		{"says why and closes", func(c net.Conn) {
			_ = (&mysqlSession{conn: c}).send([]byte("\xff\xbf\x0f#HY000The client was disconnected by the server because of inactivity.")...)
		}, 10},
	}
	everywhere(t, func(t *testing.T, w *world) {
		for _, e := range ends {
			if n := pruned(t, w, recipe, e.end); n != 0 {
				t.Errorf("the server %s: %d of 10 queries fail", e.name, n)
			}
		}
	})
	t.Run("without the recipe", func(t *testing.T) {
		t.Parallel()
		w := overSegment(t)
		for _, e := range ends {
			if n := pruned(t, w, as, e.end); n != e.without {
				t.Errorf("the server %s: %d of 10 queries fail, not %d", e.name, n, e.without)
			}
		}
	})
}
