package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/unet-go/unet/unet"
)

// requestLen is the length of a request and of its answer.
const requestLen = 100

// keepBusy sends requests and answers on the connections conns for the given time, and returns the number of requests.
func (e *ends) keepBusy(conns []int, length time.Duration) (requests int, err error) {
	var mu sync.Mutex
	var both sync.WaitGroup
	count := func(n int, e error) {
		mu.Lock()
		defer mu.Unlock()
		requests += n
		err = errors.Join(err, e)
	}
	until := time.Now().Add(length)
	for _, i := range conns {
		both.Go(func() { count(ask(e.dialled[i], until)) })
		both.Go(func() { count(0, answer(e.accepted[i])) })
	}
	both.Wait()
	return requests, err
}

// ask sends requests and reads their answers, until the given time. It marks the last request.
func ask(c *unet.TCPConn, until time.Time) (requests int, err error) {
	var request, reply [requestLen]byte
	for last := false; !last; requests++ {
		request[1] = byte(requests)
		if last = !time.Now().Before(until); last {
			request[0] = 1
		}
		if _, err := c.Write(request[:]); err != nil {
			return requests, err
		}
		if _, err := io.ReadFull(c, reply[:]); err != nil {
			return requests, err
		}
		if reply != request {
			return requests, fmt.Errorf("%v answered something else", c.RemoteAddr())
		}
	}
	return requests, nil
}

// answer sends back each request, up to the last one.
func answer(c *unet.TCPConn) error {
	var request [requestLen]byte
	for request[0] == 0 {
		if _, err := io.ReadFull(c, request[:]); err != nil {
			return err
		}
		if _, err := c.Write(request[:]); err != nil {
			return err
		}
	}
	return nil
}
