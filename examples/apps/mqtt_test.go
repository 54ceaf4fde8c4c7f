package apps

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// TestMQTT has clients of Eclipse Paho at a broker of mochi-mqtt: messages of each quality of service, retained
// ones, and the will of a client that vanishes.
func TestMQTT(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		broker := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err := broker.AddHook(new(auth.AllowHook), nil); err != nil {
			t.Fatal(err)
		}
		l := w.listening(t)
		if err := broker.AddListener(listeners.NewNet("unet", l)); err != nil {
			t.Fatal(err)
		}
		if err := broker.Serve(); err != nil {
			t.Fatal(err)
		}
		defer broker.Close()

		var last net.Conn
		connect := func(name string, change func(*paho.ClientOptions)) paho.Client {
			t.Helper()
			options := paho.NewClientOptions().AddBroker("tcp://" + serverName + ":1883").SetClientID(name).SetAutoReconnect(false).
				SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
					c, err := w.dial(t.Context(), "tcp", l.Addr().String())
					last = c
					return c, err
				})
			change(options)
			c := paho.NewClient(options)
			wait(t, c.Connect())
			t.Cleanup(func() { c.Disconnect(0) })
			return c
		}
		reader := connect("reader", func(*paho.ClientOptions) {})
		arrived := make(chan string, 1000)
		note := func(_ paho.Client, m paho.Message) { arrived <- fmt.Sprintf("%s %s", m.Topic(), m.Payload()) }
		for qos := range byte(3) {
			wait(t, reader.Subscribe(fmt.Sprintf("news/%d/#", qos), qos, note))
		}
		wait(t, reader.Subscribe("will", 1, note))
		writer := connect("writer", func(*paho.ClientOptions) {})
		for qos := range byte(3) {
			var tokens []paho.Token
			for i := range 50 {
				tokens = append(tokens, writer.Publish(fmt.Sprintf("news/%d/%d", qos, i), qos, false, text(10_000+i)))
			}
			for _, token := range tokens {
				wait(t, token)
			}
			for i := range 50 {
				if got, want := <-arrived, fmt.Sprintf("news/%d/%d %s", qos, i, text(10_000+i)); got != want {
					t.Fatalf("message %d of quality %d: %.20q", i, qos, got)
				}
			}
		}
		wait(t, writer.Publish("kept", 1, true, "for later"))
		wait(t, reader.Subscribe("kept", 1, note))
		if got := <-arrived; got != "kept for later" {
			t.Errorf("retained: %q", got)
		}

		connect("mortal", func(o *paho.ClientOptions) { o.SetWill("will", "gone", 1, false) })
		if err := last.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		if err := last.Close(); err != nil {
			t.Fatal(err)
		}
		if got := <-arrived; got != "will gone" {
			t.Errorf("will: %q", got)
		}
	})
}

// wait waits for what a client of Paho has been asked for.
func wait(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(time.Minute) || token.Error() != nil {
		t.Fatal("no answer within a minute, or an error: ", token.Error())
	}
}
