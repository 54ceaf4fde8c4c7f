package soak

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// roleVariable makes the test's program the peer: a host of the kernel's in a namespace of its own.
const roleVariable = "UNET_SOAK_PEER"

// workers is how many connections each side dials at a time.
const workers = 8

// peer serves and dials until its input ends. Each second it prints what it has counted.
func peer() int {
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil { // its network is ready
		return 1
	}
	l, err := net.Listen("tcp4", peerAddr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak: the peer:", err)
		return 1
	}
	var t tally
	go t.serve(l, func(error) {})
	stop := make(chan struct{})
	dial := func() (net.Conn, error) { return net.DialTimeout("tcp4", hostAddr, hung) }
	var dialling sync.WaitGroup
	for i := range workers {
		dialling.Go(func() {
			t.askUntil(stop, dial, rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(i))), func(_ time.Time, err error) {
				t.broken.Add(1)
				fmt.Fprintln(os.Stderr, "soak: the peer:", err)
			})
		})
	}
	go func() {
		_, _ = in.ReadString('\n') // the end
		close(stop)
		dialling.Wait()
		t.print()
		os.Exit(0)
	}()
	for {
		t.print()
		time.Sleep(time.Second)
	}
}

func (t *tally) print() {
	fmt.Println(t.exchanges.Load(), t.octets.Load(), t.mismatches.Load(), t.broken.Load())
}
