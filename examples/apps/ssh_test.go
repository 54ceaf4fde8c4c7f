package apps

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sshServer is a server with the commands cat, echo and fail, and port forwarding.
type sshServer struct {
	*world
	config *ssh.ServerConfig
	group  sync.WaitGroup
}

func (s *sshServer) serve(t *testing.T, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept: %v", err)
			}
			return
		}
		s.group.Go(func() { s.connection(t, c) })
	}
}

func (s *sshServer) connection(t *testing.T, c net.Conn) {
	defer c.Close()
	conn, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return // the client knows why
	}
	s.group.Go(func() { ssh.DiscardRequests(requests) })
	for open := range channels {
		switch open.ChannelType() {
		case "session":
			s.group.Go(func() { s.session(open) })
		case "direct-tcpip":
			s.group.Go(func() { s.forward(t, open) })
		default:
			_ = open.Reject(ssh.UnknownChannelType, open.ChannelType())
		}
	}
	_ = conn.Wait()
}

// session runs one command.
func (s *sshServer) session(open ssh.NewChannel) {
	channel, requests, err := open.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	for r := range requests {
		var exec struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &exec) != nil {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		code := uint32(0)
		switch command, rest, _ := strings.Cut(exec.Command, " "); command {
		case "cat":
			_, err = io.Copy(channel, channel)
		case "echo":
			_, err = io.WriteString(channel, rest)
		default:
			_, err = io.WriteString(channel.Stderr(), "no such command")
			code = 127
		}
		if err == nil {
			_ = channel.CloseWrite()
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
		}
		return
	}
}

// forward joins a channel and a connection that it dials.
func (s *sshServer) forward(t *testing.T, open ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	err := ssh.Unmarshal(open.ExtraData(), &to)
	var c net.Conn
	if err == nil {
		c, err = s.dial(t.Context(), "tcp", fmt.Sprintf("%s:%d", to.Host, to.Port))
	}
	if err != nil {
		_ = open.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer c.Close()
	channel, requests, err := open.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	s.group.Go(func() { ssh.DiscardRequests(requests) })
	s.group.Go(func() {
		_, _ = io.Copy(c, channel)
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	})
	_, _ = io.Copy(channel, c)
	_ = channel.CloseWrite()
}

func sshKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestSSH(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		host, user := sshKey(t), sshKey(t)
		s := &sshServer{world: w, config: &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), user.PublicKey().Marshal()) {
				return nil, errors.New("another key")
			}
			return nil, nil
		}}}
		s.config.AddHostKey(host)
		l := w.listening(t)
		s.group.Go(func() { s.serve(t, l) })
		defer s.group.Wait()
		defer l.Close()

		login := func(key ssh.Signer) (*ssh.Client, error) {
			conn, channels, requests, err := ssh.NewClientConn(w.connect(t, l), l.Addr().String(), &ssh.ClientConfig{User: "somebody",
				Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(host.PublicKey())})
			if err != nil {
				return nil, err
			}
			return ssh.NewClient(conn, channels, requests), nil
		}
		if _, err := login(host); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
			t.Errorf("a key that the server does not know: %v", err)
		}
		client, err := login(user)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() { sshCommands(t, client, i) })
		}
		group.Go(func() { sshForward(t, client, w) })
		group.Wait()
		if err := client.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := client.Wait(); !errors.Is(err, net.ErrClosed) && err != io.EOF {
			t.Errorf("Wait: %v", err)
		}
	})
}

// sshCommands runs commands over one of several sessions of a connection.
func sshCommands(t *testing.T, client *ssh.Client, i int) {
	run := func(command string, in []byte) (string, error) {
		session, err := client.NewSession()
		if err != nil {
			return "", err
		}
		defer session.Close()
		session.Stdin = bytes.NewReader(in)
		out, err := session.Output(command)
		return string(out), err
	}
	sent := text(1<<20 + i)
	if got, err := run("cat", sent); err != nil || got != string(sent) {
		t.Errorf("cat: %d octets of %d, %v", len(got), len(sent), err)
	}
	if got, err := run("echo hello", nil); err != nil || got != "hello" {
		t.Errorf("echo: %q, %v", got, err)
	}
	var exit *ssh.ExitError
	if got, err := run("fail", nil); !errors.As(err, &exit) || exit.ExitStatus() != 127 || got != "" {
		t.Errorf("fail: %q, %v", got, err)
	}
}

// sshForward dials through the server: a listener that answers, and a port without a listener.
func sshForward(t *testing.T, client *ssh.Client, w *world) {
	l := w.listening(t)
	answered := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			answered <- err
			return
		}
		_, err = io.Copy(c, c) // up to the client's half-close, which has to come through
		answered <- errors.Join(err, c.Close())
	}()
	c, err := client.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	sent := text(300_000)
	go func() {
		_, _ = c.Write(sent)
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-answered); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("forwarded: %d octets of %d, %v", len(got), len(sent), err)
	}
	if err := errors.Join(c.Close(), l.Close()); err != nil && err.Error() != io.EOF.Error() {
		t.Errorf("Close: %v", err)
	}
	var refused *ssh.OpenChannelError
	if _, err := client.Dial("tcp", l.Addr().String()); !errors.As(err, &refused) || !strings.Contains(refused.Message, "connection refused") {
		t.Errorf("a port where nobody listens: %v", err)
	}
}
