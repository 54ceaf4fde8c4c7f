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

// RequireVariable is the environment variable that, set to 1, makes Need fail where it would skip, so that
// no system on which TAP tests are expected to run passes over them in silence. Set to anything else it lets
// Need skip in CI too.
const RequireVariable = "UNET_REQUIRE_TAP"

// Required reports whether nothing may be skipped: with UNET_REQUIRE_TAP=1, or where UNET_REQUIRE_TAP is not
// set and the variable CI, as build services set it, is.
func Required() bool {
	if v := os.Getenv(RequireVariable); v != "" {
		return v == "1"
	}
	return os.Getenv("CI") != ""
}

// lacks are the errors by which a system says that it grants no TAP device or has none.
var lacks = []error{syscall.EPERM, syscall.EACCES, syscall.ENOENT, syscall.ENODEV}

// Lacking ends the test, because err has kept it from what. It skips it where err says that the system
// withholds that or has none of it: EPERM, EACCES, ENOENT, ENODEV, or one of also. It fails it for any other
// error, which is a fault, and where Required.
func Lacking(tb testing.TB, what string, err error, also ...error) {
	tb.Helper()
	lack := slices.ContainsFunc(append(also, lacks...), func(e error) bool { return errors.Is(err, e) })
	switch {
	case Required():
		tb.Fatalf("no %s can be had, and nothing may be skipped (%s): %v", what, RequireVariable, err)
	case lack:
		tb.Skipf("no %s can be had: %v", what, err)
	default:
		tb.Fatalf("no %s can be had, and not for want of one: %v", what, err)
	}
}

// refused is why there is no namespace; nil if there is one, or if Enter was not called.
var refused error

// Main runs the tests of a package in a network namespace of its own, or outside one if none can be had, and
// exits. It is called from TestMain. Flags, environment, working directory and the exit code pass through.
func Main(m *testing.M) {
	Enter()
	os.Exit(m.Run())
}

// Enter is Main's first half, for a TestMain that has more to do: it returns in the process that runs the
// tests, and in another one does not return.
func Enter() {
	refused = Reexec()
}

// Need skips the test if TAP devices cannot be had here for want of permission or of a driver, or no network
// namespace for the process, whose own network the test would otherwise change. It fails the test where
// Required, and where a device cannot be opened for any other reason.
func Need(tb testing.TB) {
	tb.Helper()
	if refused != nil {
		Lacking(tb, "TAP device", refused, noNamespace...)
	} else if err := usable(); err != nil {
		Lacking(tb, "TAP device", err)
	}
}

// usable reports once and for all why no TAP device can be opened.
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

// subnets counts the subnets that Open has given away.
var subnets atomic.Uint32

// Open opens a device for the test, after Need, and closes it when the test ends. Where cfg has no PeerAddrs
// the kernel's side becomes 10.N.0.1/24, N from 9 on being another one for each device of the process; our
// side is free to be any other address of the subnet.
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
