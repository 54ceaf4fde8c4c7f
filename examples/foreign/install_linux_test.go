package foreign

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/tap/taptest"
)

var wanted = flag.Bool("foreign", false, "run the tests, and install the programs that they need as root on Debian")

// packages are Debian's, by the programs that are needed of them.
var packages = map[string]string{
	"curl": "curl", "h2load": "nghttp2-client", "haproxy": "haproxy", "ip": "iproute2", "nginx": "nginx", "ping": "iputils-ping",
	"socat": "socat", "traceroute": "traceroute", "tshark": "tshark", "wrk": "wrk",
}

func TestMain(m *testing.M) {
	flag.Parse()
	_ = os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // where Debian has some of them
	if *wanted && !taptest.Inside() {
		if err := install(); err != nil { // there is no way to Debian from inside
			fmt.Fprintln(os.Stderr, "foreign:", err)
			os.Exit(1)
		}
	}
	taptest.Enter()
	// It keeps the date for as long as the process lives.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// install installs the programs that are missing.
func install() error {
	var missing []string
	for program, pkg := range packages {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("not installed, and only root can on Debian: apt-get install %s", strings.Join(missing, " "))
	}
	for _, args := range [][]string{{"update"}, append([]string{"install", "--yes", "--no-install-recommends"}, missing...)} {
		cmd := exec.Command(apt, append([]string{"-o", "DPkg::Lock::Timeout=120"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
	}
	return nil
}
