//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// wrkScript makes wrk print its results as a line of JSON, with times in microseconds.
const wrkScript = `done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"took":%d,"p50":%d,"p99":%d,"p999":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    e.connect, e.read, e.write, e.status, e.timeout))
end
`

// wrkResult is the output of the script.
type wrkResult struct {
	Requests, Took                        int
	P50, P99, P999                        int64
	Connect, Read, Write, Status, Timeout int
}

// wrkMost is the number of connections above which the built-in client is used, unless the flags say otherwise:
// wrk counts the time in which it connects, and with ten thousand connections that is all of its time.
const wrkMost = 1000

// wrk runs wrk for whole seconds, at least as long as duration. It uses a thread for each processor, and one thread for a
// single connection.
func (l *lab) wrk(ctx context.Context, target string, conns int, duration time.Duration, headers ...string) (*requestResult, error) {
	script := filepath.Join(l.dir, "wrk.lua")
	if err := os.WriteFile(script, []byte(wrkScript), 0o600); err != nil {
		return nil, err
	}
	seconds := int((duration + time.Second - 1) / time.Second)
	args := []string{"-t", strconv.Itoa(min(conns, runtime.NumCPU())), "-c", strconv.Itoa(conns), "-d", fmt.Sprintf("%ds", seconds),
		"--timeout", "10s", "-s", script}
	for _, h := range headers {
		args = append(args, "-H", h)
	}
	cmd := command(ctx, l.Wrk, append(args, "http://"+target+"/")...)
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("wrk: %w", err)
	}
	return parseWrk(said)
}

var errWrk = errors.New("wrk did not say what the script has it say")

func parseWrk(said []byte) (*requestResult, error) {
	at := bytes.Index(said, []byte(`{"requests":`))
	if at < 0 {
		return nil, errWrk
	}
	line, _, _ := bytes.Cut(said[at:], []byte("\n"))
	var w wrkResult
	if err := json.Unmarshal(line, &w); err != nil {
		return nil, errors.Join(errWrk, err)
	}
	r := requestResult{Requests: w.Requests, Counted: w.Requests, Took: time.Duration(w.Took) * time.Microsecond,
		P50: time.Duration(w.P50) * time.Microsecond, P99: time.Duration(w.P99) * time.Microsecond, P999: time.Duration(w.P999) * time.Microsecond,
		Errors: w.Connect + w.Read + w.Write + w.Status + w.Timeout}
	if r.Errors > 0 {
		r.First = fmt.Sprintf("wrk: connect %d, read %d, write %d, status %d, timeout %d", w.Connect, w.Read, w.Write, w.Status, w.Timeout)
	}
	return &r, nil
}
