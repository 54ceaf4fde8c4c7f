package apps

import (
	"errors"
	"io"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"

	server "github.com/emersion/go-smtp"
)

// mailbox is a backend of go-smtp that passes on what comes.
type mailbox chan string

func (m mailbox) NewSession(*server.Conn) (server.Session, error) { return &mailSession{box: m}, nil }

type mailSession struct {
	box      mailbox
	from, to string
}

func (s *mailSession) Reset()                                        {}
func (s *mailSession) Logout() error                                 { return nil }
func (s *mailSession) Mail(from string, _ *server.MailOptions) error { s.from = from; return nil }

func (s *mailSession) Rcpt(to string, _ *server.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &server.SMTPError{Code: 550, EnhancedCode: server.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	}
	s.to = to
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	message, err := io.ReadAll(r)
	s.box <- s.from + " " + s.to + " " + string(message)
	return err
}

// TestSMTP has package net/smtp's client deliver mail to a server of go-smtp, over STARTTLS.
func TestSMTP(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		box := make(mailbox, 1)
		srv := server.NewServer(box)
		srv.Domain, srv.ErrorLog = serverName, quiet{}
		accept, trust := identity()
		srv.TLSConfig = accept.Clone()
		l := w.listening(t)
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		defer func() {
			if err := srv.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := <-served; err != nil && !errors.Is(err, server.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
		}()
		c, err := smtp.NewClient(w.connect(t, l), serverName)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.StartTLS(trust.Clone()); err != nil {
			t.Fatal(err)
		}
		if err := c.Mail("me@client.test"); err != nil {
			t.Fatal(err)
		}
		var refused *textproto.Error
		if err := c.Rcpt("nobody@server.test"); !errors.As(err, &refused) || refused.Code != 550 {
			t.Errorf("a mailbox that is not there: %v", err)
		}
		if err := c.Rcpt("you@server.test"); err != nil {
			t.Fatal(err)
		}
		body, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		message := strings.Repeat("A line of a long letter.\r\n.\r\n", 30_000)
		_, err = io.WriteString(body, message)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		if got := <-box; got != "me@client.test you@server.test "+message {
			t.Errorf("%d octets of %d arrived, or others", len(got), len(message))
		}
		if err := c.Quit(); err != nil {
			t.Errorf("Quit: %v", err)
		}
	})
}
