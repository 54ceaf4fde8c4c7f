package stack

import (
	"strings"
	"testing"
	"time"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

// TestEndingsKeepTheAnswer ends connections whose answer is held for the end of a burst. By the time that a program can
// end a connection, Linux has transmitted in send(2) what the windows allow, so each of these must have it in front of
// the RST. The request is unread, so that a close resets.
func TestEndingsKeepTheAnswer(t *testing.T) {
	more := WriteMode{More: true}
	update := func(n *network, c *TCPConn, change func(o *tcp.Options)) {
		n.Helper()
		n.must(c.Update(change))
	}
	long := strings.Repeat("x", 16000) // more than the initial congestion window
	for _, tt := range []struct {
		name  string
		delay time.Duration // of the wire
		early func(n *network, c *TCPConn)
		act   func(n *network, client, c *TCPConn)
		want  []string
		full  int // segments of long that come before
	}{
		{name: "E-CLS-1 Close", act: func(n *network, _, c *TCPConn) {
			n.write(c, "ans")
			n.write(c, "wer")
			n.must(c.Close())
		}, want: []string{"P. answer", "R. "}},
		{name: "Close with Linger 0", act: func(n *network, _, c *TCPConn) {
			n.reads(c, "request")
			update(n, c, func(o *tcp.Options) { o.Linger = 0 })
			n.write(c, "answer")
			n.must(c.Close())
		}, want: []string{"P. answer", "R. "}},
		{name: "Linger 0 set behind the answer", act: func(n *network, _, c *TCPConn) {
			n.reads(c, "request")
			n.write(c, "answer")
			update(n, c, func(o *tcp.Options) { o.Linger = 0 })
			n.must(c.Close())
		}, want: []string{"P. answer", "R. "}},
		{name: "Abort", act: func(n *network, _, c *TCPConn) {
			n.write(c, "answer")
			c.Abort()
		}, want: []string{"P. answer", "R. "}},
		{name: "Close of the host", act: func(n *network, _, c *TCPConn) {
			n.write(c, "answer")
			n.must(n.b.Close())
		}, want: []string{"P. answer", "R. "}},
		{name: "CloseRead and Close", act: func(n *network, _, c *TCPConn) {
			n.write(c, "answer")
			n.must(c.CloseRead())
			n.must(c.Close())
		}, want: []string{"P. answer", "R. "}},
		{name: "CloseWrite and Close", act: func(n *network, _, c *TCPConn) {
			n.write(c, "answer")
			n.must(c.CloseWrite())
			n.must(c.Close())
		}, want: []string{"FP. answer", "R. "}},
		{name: "a RST of the peer", act: func(n *network, client, c *TCPConn) {
			n.write(c, "answer")
			client.Abort()
		}, want: []string{"P. answer"}},
		{name: "a span", act: func(n *network, _, c *TCPConn) {
			n.write(c, "ans")
			n.must(c.WriteSpan(tcp.Span{Data: []byte("wer")}))
			n.must(c.Close())
		}, want: []string{"P. answer", "R. "}},
		{name: "what MSG_MORE holds back stays behind", act: func(n *network, _, c *TCPConn) {
			n.write(c, "answer")
			_, err := c.WriteMsg([][]byte{[]byte("more")}, more)
			n.must(err)
			n.must(c.Close())
		}, want: []string{"P. answer", "R. "}},
		{name: "what MSG_MORE held back leaves with what it waited for", act: func(n *network, _, c *TCPConn) {
			_, err := c.WriteMsg([][]byte{[]byte("ans")}, more)
			n.must(err)
			n.write(c, "wer")
			n.must(c.Close())
		}, want: []string{"P. answer", "R. "}},
		{name: "a cork that comes behind the answer does not hold it", act: func(n *network, _, c *TCPConn) {
			n.write(c, "answer")
			update(n, c, func(o *tcp.Options) { o.Cork = true })
			n.write(c, "more")
			n.must(c.Close())
		}, want: []string{"P. answer", "R. "}},
		{name: "what a cork holds back stays behind", act: func(n *network, _, c *TCPConn) {
			update(n, c, func(o *tcp.Options) { o.Cork = true })
			n.write(c, "answer")
			n.must(c.Close())
		}, want: []string{"R. "}},
		{name: "what Nagle's algorithm holds back stays behind", delay: time.Millisecond, early: func(n *network, c *TCPConn) {
			update(n, c, func(o *tcp.Options) { o.NoDelay = false })
			n.write(c, "unacknowledged")
		}, act: func(n *network, _, c *TCPConn) {
			n.write(c, "answer")
			n.must(c.Close())
		}, want: []string{"P. unacknowledged", "R. "}},
		{name: "the congestion window bounds what leaves", act: func(n *network, _, c *TCPConn) {
			n.write(c, long)
			n.must(c.Close())
		}, want: []string{"R. "}, full: 10},
	} {
		inNetwork(t, tt.name, sim.Config{Delay: tt.delay}, func(n *network) {
			client, server := n.connect()
			n.write(client, "request")
			time.Sleep(100 * time.Millisecond) // the bursts of all that are over
			got := n.frames(n.b)
			if tt.early != nil {
				tt.early(n, server)
			}
			q := n.b.ip.Interfaces()[1].Queues()[0]
			q.BeginBurst() // so that no acknowledgment of the answer comes back before the end
			n.b.tcp.holdOutput(n.b.clock.Now())
			tt.act(n, client, server)
			settle()
			n.b.tcp.releaseOutput()
			q.EndBurst()
			n.b.flush()
			time.Sleep(tt.delay)
			mss := 1468 - n.headerLen // with a timestamp
			n.wantFrames(got(), append(slicesOf(long[:tt.full*mss], mss), tt.want...)...)
			_ = server.Close() // some have closed it
			_ = client.Close()
		})
	}
}

// slicesOf cuts a text into pieces as segments carry it that do not end the queue.
func slicesOf(text string, n int) (list []string) {
	for len(text) > 0 {
		k := min(n, len(text))
		list, text = append(list, ". "+text[:k]), text[k:]
	}
	return list
}
