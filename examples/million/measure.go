package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// reading is the memory of the process at one moment, in octets.
type reading struct {
	live     int64 // of the objects on the heap that are reachable
	inUse    int64 // of the heap's spans that hold objects, with their unused parts
	runtime  int64 // of the runtime's own records, one for the finalizer of each connection among them
	resident int64 // of the process in memory; 0 if the system gives no value
}

// read collects garbage, gives unused memory back to the system and reads the memory's figures.
func read() reading {
	runtime.GC() // the second collection sweeps what the first one found
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return reading{int64(m.HeapAlloc), int64(m.HeapInuse), int64(m.OtherSys), status("VmRSS:")}
}

// per returns the differences between r and before, divided by n.
func (r reading) per(before reading, n int) string {
	s := fmt.Sprintf("%d octets of heap, %d in use, %d of the runtime's own", (r.live-before.live)/int64(n),
		(r.inUse-before.inUse)/int64(n), (r.runtime-before.runtime)/int64(n))
	if r.resident != 0 {
		s += fmt.Sprintf(", %d resident", (r.resident-before.resident)/int64(n))
	}
	return s
}

// status returns a line of Linux's /proc/self/status in octets, 0 where there is none.
func status(line string) int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(b, []byte("\n"+line))
	fields := strings.Fields(string(rest[:min(len(rest), 80)]))
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n << 10
}

// collector is the work of the garbage collector so far.
type collector struct {
	cpu    float64 // seconds, on any number of cores
	cycles uint64
}

func collected() collector {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	return collector{s[0].Value.Float64(), s[1].Value.Uint64()}
}

// since returns the share of one core that the collector took since before.
func (c collector) since(before collector, length time.Duration) string {
	return fmt.Sprintf("%.1f %% of a core for %d garbage collections", 100*(c.cpu-before.cpu)/length.Seconds(), c.cycles-before.cycles)
}

// sampleEvery is the mean number of octets allocated between two samples of the heap profile. It is small enough to
// distinguish the two ends of a million connections.
const sampleEvery = 64 << 10

// apart estimates from the heap profile the live octets that were allocated by dialling, by accepting, and by the rest of
// the program.
func apart() (dialled, accepted, rest int64) {
	var records []runtime.MemProfileRecord
	for n, ok := runtime.MemProfile(nil, false); !ok; {
		records = make([]runtime.MemProfileRecord, n+64)
		n, ok = runtime.MemProfile(records, false)
		records = records[:min(n, len(records))]
	}
	for i := range records {
		r := &records[i]
		if r.InUseObjects() == 0 {
			continue
		}
		// A profile holds a sample of the objects that depends on their size. This scales it up as package pprof does.
		average := float64(r.InUseBytes()) / float64(r.InUseObjects())
		octets := int64(float64(r.InUseBytes()) / (1 - math.Exp(-average/sampleEvery)))
		switch side(r.Stack()) {
		case "dialled":
			dialled += octets
		case "accepted":
			accepted += octets
		default:
			rest += octets
		}
	}
	return dialled, accepted, rest
}

// side returns the end of a connection for which a call stack allocated.
func side(stack []uintptr) string {
	for frames := runtime.CallersFrames(stack); ; {
		f, more := frames.Next()
		switch {
		case strings.Contains(f.Function, "unet.(*Dialer)"):
			return "dialled"
		case strings.Contains(f.Function, "stack.(*receiver)"), strings.Contains(f.Function, "unet.(*TCPListener)"):
			return "accepted"
		case !more:
			return ""
		}
	}
}

// writeProfile writes the heap profile for go tool pprof.
func writeProfile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := pprof.WriteHeapProfile(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
