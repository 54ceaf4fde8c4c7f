package soak

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
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
	done := make(chan struct{}, workers)
	for i := range workers {
		go func() {
			defer func() { done <- struct{}{} }()
			rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(i)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.DialTimeout("tcp4", hostAddr, hung)
				if err == nil {
					err = t.ask(c, random(rnd))
				}
				if err != nil {
					t.broken.Add(1)
					fmt.Fprintln(os.Stderr, "soak: the peer:", err)
					time.Sleep(100 * time.Millisecond)
				}
			}
		}()
	}
	go func() {
		_, _ = in.ReadString('\n') // the end
		close(stop)
		for range workers {
			<-done
		}
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
