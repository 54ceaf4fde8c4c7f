package apps

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/unet"
)

// startGRPC serves gRPC's own test service and returns a client's connection to it.
func startGRPC(t *testing.T, w *world, secure bool) (*grpc.Server, *grpc.ClientConn) {
	t.Helper()
	accept, trust := insecure.NewCredentials(), insecure.NewCredentials()
	if secure {
		server, client := identity()
		accept, trust = credentials.NewTLS(server.Clone()), credentials.NewTLS(client.Clone())
	}
	srv := grpc.NewServer(grpc.Creds(accept), grpc.MaxRecvMsgSize(64<<20))
	pb.RegisterTestServiceServer(srv, interop.NewTestServer())
	l := w.listening(t)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(trust),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return w.dial(ctx, "tcp", address) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		srv.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return srv, conn
}

// TestGRPCInterop runs the tests that gRPC's implementations have in common. One that fails ends the process,
// with a message of its own.
func TestGRPCInterop(t *testing.T) {
	for name, secure := range map[string]bool{"in the clear": false, "over TLS": true} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				_, conn := startGRPC(t, w, secure)
				client := pb.NewTestServiceClient(conn)
				for _, test := range []func(context.Context, pb.TestServiceClient, ...grpc.CallOption){
					interop.DoEmptyUnaryCall, interop.DoLargeUnaryCall, interop.DoClientStreaming, interop.DoServerStreaming,
					interop.DoPingPong, interop.DoEmptyStream, interop.DoTimeoutOnSleepingServer, interop.DoCancelAfterBegin,
					interop.DoCancelAfterFirstResponse, interop.DoCustomMetadata, interop.DoStatusCodeAndMessage, interop.DoSpecialStatusMessage,
				} {
					test(t.Context(), client)
				}
				interop.DoUnimplementedMethod(t.Context(), conn)
			})
		})
	}
}

func payload(n int) *pb.Payload { return &pb.Payload{Body: text(n)} }

// TestGRPCStreams has many large calls at once on one connection, and then the ends of a server: a graceful
// one waits for a stream, an abrupt one breaks it.
func TestGRPCStreams(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		srv, conn := startGRPC(t, w, true)
		client := pb.NewTestServiceClient(conn)
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				in := &pb.SimpleRequest{ResponseSize: int32(200_000 + i), Payload: payload(300_000 + i)}
				out, err := client.UnaryCall(t.Context(), in)
				if err != nil || len(out.GetPayload().GetBody()) != 200_000+i {
					t.Errorf("%d octets, %v", len(out.GetPayload().GetBody()), err)
				}
			})
		}
		group.Wait()

		stream, err := client.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exchange := func() error {
			in := &pb.StreamingOutputCallRequest{ResponseParameters: []*pb.ResponseParameters{{Size: 1000}}, Payload: payload(1000)}
			if err := stream.Send(in); err != nil {
				return err
			}
			out, err := stream.Recv()
			if err == nil && !bytes.Equal(out.GetPayload().GetBody(), make([]byte, 1000)) {
				err = errors.New("another payload")
			}
			return err
		}
		if err := exchange(); err != nil {
			t.Fatal(err)
		}
		stopped := make(chan struct{})
		go func() {
			srv.GracefulStop()
			close(stopped)
		}()
		for range 10 {
			if err := exchange(); err != nil {
				t.Fatalf("a stream of a server that stops gracefully: %v", err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Errorf("the end of the stream: %v", err)
		}
		<-stopped
		if _, err := client.EmptyCall(t.Context(), &pb.Empty{}); status.Code(err) != codes.Unavailable {
			t.Errorf("a call to a server that has stopped: %v", err)
		}

		srv, conn = startGRPC(t, w, true)
		if stream, err = pb.NewTestServiceClient(conn).FullDuplexCall(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := exchange(); err != nil {
			t.Fatal(err)
		}
		srv.Stop()
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("a stream of a server that was stopped: %v", err)
		}
	})
}

// TestGRPCResolver has gRPC's own dns resolver ask the servers of a host's Config.DNS: it takes net.DefaultResolver,
// whose place Host.Resolver takes.
func TestGRPCResolver(t *testing.T) {
	segment := sim.NewSegment(sim.Config{Offload: true})
	t.Cleanup(func() { _ = segment.Close() })
	server := open(t, unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	p, err := server.ListenPacket("udp", "10.0.0.2:53")
	if err != nil {
		t.Fatal(err)
	}
	names := &dns.Server{PacketConn: p, Handler: dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		if q.Question[0].Name == "server.test." && q.Question[0].Qtype == dns.TypeA {
			a.Answer = append(a.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(10, 0, 0, 2)})
		}
		_ = rw.WriteMsg(a)
	})}
	answered := make(chan error, 1)
	go func() { answered <- names.ActivateAndServe() }()
	client := open(t, unet.Config{Link: segment.Port(), Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
		DNS: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:53")}})
	before := net.DefaultResolver
	net.DefaultResolver = client.Resolver()
	defer func() { net.DefaultResolver = before }()

	l, err := server.Listen("tcp", "10.0.0.2:8443")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	pb.RegisterTestServiceServer(srv, interop.NewTestServer())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	conn, err := grpc.NewClient("dns:///server.test.:8443", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return client.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pb.NewTestServiceClient(conn).EmptyCall(t.Context(), new(pb.Empty)); err != nil {
		t.Error(err)
	}
	err = conn.Close()
	srv.Stop()
	if err := errors.Join(err, <-served, names.Shutdown(), <-answered); err != nil {
		t.Error(err)
	}
}
