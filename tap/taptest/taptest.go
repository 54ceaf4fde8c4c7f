// Package taptest gives a test binary, or any other program, a network namespace of its own, in which it may
// open TAP devices: as root with a new network namespace, as an ordinary user with a new user namespace too,
// where the system allows that. Nothing that happens there touches the machine's network, and all of it goes
// away with the process.
//
//	func TestMain(m *testing.M) { taptest.Main(m) }
//
//	func TestOverTAP(t *testing.T) {
//		taptest.Need(t)
//		dev := taptest.Open(t, tap.Config{})
//		...
//	}
package taptest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/unet-go/unet/tap"
)

// RequireVariable is the environment variable that makes Need fail where it would skip, if it is 1. So a system on which
// TAP tests are expected to run cannot skip them silently. With any other value Need skips, in CI too.
const RequireVariable = "UNET_REQUIRE_TAP"

// Required reports whether no test may be skipped: if UNET_REQUIRE_TAP is 1, or if it is not set and CI is, the variable
// that build services set.
func Required() bool {
	if v := os.Getenv(RequireVariable); v != "" {
		return v == "1"
	}
	return os.Getenv("CI") != ""
}

// lacks are the errors of a system that allows no TAP device or has no driver for one.
var lacks = []error{syscall.EPERM, syscall.EACCES, syscall.ENOENT, syscall.ENODEV}

// Lacking ends the test, which cannot have the thing called what because of err. It skips the test if err means that the
// system has no such thing or does not allow it: EPERM, EACCES, ENOENT, ENODEV, or one of also. It fails the test for any
// other error, which is a fault, and where Required.
func Lacking(tb testing.TB, what string, err error, also ...error) {
	tb.Helper()
	lack := slices.ContainsFunc(append(also, lacks...), func(e error) bool { return errors.Is(err, e) })
	switch {
	case Required():
		tb.Fatalf("no %s can be had, and nothing may be skipped (%s): %v", what, RequireVariable, err)
	case lack:
		tb.Skipf("no %s can be had: %v", what, err)
	default:
		tb.Fatalf("no %s can be had, though the system has and allows it: %v", what, err)
	}
}

// refused is the reason why there is no namespace; nil if there is one, or if Enter was not called.
var refused error

// Main runs the tests of a package in a network namespace of its own, or without one if the system gives none, and
// exits. Call it from TestMain. Flags, environment, working directory and the exit code pass through.
func Main(m *testing.M) {
	Enter()
	os.Exit(m.Run())
}

// Enter is the first half of Main, for a TestMain that has more to do. It returns in the process that runs the tests; in
// the outer process, which waits for that one, it does not return.
func Enter() {
	refused = Reexec()
}

// Need skips the test where the system allows no TAP devices or has no driver, or gives the process no network namespace:
// the test would change the machine's network. It fails the test where Required, and where a device cannot be opened for
// any other reason.
func Need(tb testing.TB) {
	tb.Helper()
	if refused != nil {
		Lacking(tb, "TAP device", refused, noNamespace...)
	} else if err := usable(); err != nil {
		Lacking(tb, "TAP device", err)
	}
}

// usable returns the reason why no TAP device can be opened, nil if one can. It tries once.
var usable = sync.OnceValue(func() error {
	if !Inside() {
		return fmt.Errorf("not in a network namespace made by taptest: call taptest.Main from TestMain")
	}
	dev, err := tap.Open(tap.Config{})
	if err != nil {
		return err
	}
	return dev.Close()
})

// subnets counts the subnets that Open has used.
var subnets atomic.Uint32

// Open calls Need, opens a device for the test, and closes it when the test ends. If cfg has no PeerAddrs the kernel's side
// is 10.N.0.1/24. N begins with 9 and is different for each device of the process. Our side may have any other address
// of the subnet.
func Open(tb testing.TB, cfg tap.Config) *tap.Device {
	tb.Helper()
	Need(tb)
	if len(cfg.PeerAddrs) == 0 {
		n := 9 + (subnets.Add(1)-1)%240
		addr := netip.AddrFrom4([4]byte{10, byte(n), 0, 1})
		cfg.PeerAddrs = []netip.Prefix{netip.PrefixFrom(addr, 24)}
	}
	dev, err := tap.Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := dev.Close(); err != nil {
			tb.Errorf("closing %s: %v", dev.Info().Name, err)
		}
	})
	return dev
}
