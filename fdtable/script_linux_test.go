package fdtable_test

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/unet-go/unet/tap/taptest"
)

var scriptsLinux = flag.Bool("scripts.linux", false, "all scripts in TestScriptsOnLinux, in real time")

// outcome is the result of a script's run against the kernel.
type outcome struct {
	kind   string // "same", "differs at N", "differs at the end" or "not for Linux", or several of these with "or" between them
	reason string
}

// onLinux reads testdata/script/linux.txt: lines of SCRIPT | OUTCOME | REASON. Scripts that are not listed must have the outcome "same".
func onLinux(t *testing.T, scripts []*script) map[string]outcome {
	t.Helper()
	all := make(map[string]outcome)
	for name, cells := range readList(t, "linux.txt", scripts) {
		if len(cells) < 2 {
			t.Errorf("linux.txt: there is no reason for %s", name)
			continue
		}
		all[name] = outcome{cells[0], strings.Join(cells[1:], " | ")}
	}
	return all
}

// TestScriptsOnLinux runs the scripts against the kernel's TCP, each in a namespace of its own. The kernel must do the same
// as this stack, or have the outcome that testdata/script/linux.txt lists. Without -scripts.linux the test runs only the
// few scripts whose outcome does not depend on time.
func TestScriptsOnLinux(t *testing.T) {
	taptest.Need(t)
	scripts := parseScripts(t)
	expected := onLinux(t, scripts)
	counts := map[int]int{}
	defer func() { t.Logf("%d scripts over IPv4, %d over IPv6", counts[4], counts[6]) }()
	for _, s := range scripts {
		if !*scriptsLinux && !robust[s.plainName()] {
			continue
		}
		counts[s.family.version]++
		t.Run(fmt.Sprintf("F-DIFF-1 %s", strings.ReplaceAll(s.name, "/", ": ")), func(t *testing.T) {
			t.Parallel()
			want, listed := expected[s.name]
			if !listed {
				want, listed = expected[s.plainName()]
			}
			if !listed {
				want.kind = "same"
			}
			var got string
			var err error
			for range 3 { // real time: a machine may be busy
				if got, err = kindOf(onThread(s)); slices.Contains(strings.Split(want.kind, " or "), got) {
					return
				}
			}
			t.Errorf("%s | %s\nlisted is: %s\n%v", s.name, got, want.kind, err)
		})
	}
}

// onThread runs a script on a thread that ends with it.
func onThread(s *script) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		err = runOnLinux(s)
	}()
	<-done
	return err
}

func kindOf(err error) (string, error) {
	var d *difference
	var u unlike
	switch {
	case err == nil:
		return "same", nil
	case errors.As(err, &u):
		return "not for Linux", err
	case errors.As(err, &d) && d.line == 0:
		return "differs at the end", err
	case errors.As(err, &d):
		return fmt.Sprintf("differs at %d", d.line), err
	}
	return "failed", err
}

// robust are the scripts whose outcome does not depend on how busy the machine is.
var robust = map[string]bool{"close/linger-zero": true, "close/passive": true, "close/twice": true, "family6/passive": true, "handshake/passive": true,
	"ip/checksums": true, "reset/listen": true, "reset/no-connection": true, "sack/blocks": true, "timestamps/recent": true,
	"window/scaled": true}
