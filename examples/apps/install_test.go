package apps

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/unet-go/unet/tap/taptest"
)

// foreign is a server that is no Go program: the test that wants it, Debian's package, and where to look for it.
type foreign struct{ test, pkg, pattern string }

var (
	postgresServer = foreign{"TestPostgres", "postgresql", "/usr/lib/postgresql/*/bin/postgres"}
	redisServer    = foreign{"TestRedis", "redis-server", "/usr/bin/redis-server"}
)

// find returns where the server is, "" if it is not there.
func (f foreign) find() string {
	found, _ := filepath.Glob(f.pattern) // in order: the newest version is the last one
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// refusal is the environment variable that tells the inner process why there is no server.
const refusal = "UNET_APPS_NOT_INSTALLED"

// install installs the servers that are missing and that tests are about to be run for. It has to be done
// before the process enters a namespace from which there is no way to Debian.
func install() {
	flag.Parse()
	wanted, _, _ := strings.Cut(flag.Lookup("test.run").Value.String(), "/")
	var missing []string
	for _, f := range []foreign{postgresServer, redisServer} {
		if selected, err := regexp.MatchString(wanted, f.test); err == nil && selected && f.find() == "" {
			missing = append(missing, f.pkg)
		}
	}
	if len(missing) == 0 || flag.Lookup("test.list").Value.String() != "" {
		return
	}
	if err := aptInstall(missing); err != nil {
		os.Setenv(refusal, err.Error())
	}
}

func aptInstall(packages []string) error {
	apt, err := exec.LookPath("apt-get")
	switch {
	case err != nil:
		return fmt.Errorf("there is no apt-get to install it: %w", err)
	case os.Geteuid() != 0:
		return fmt.Errorf("not root, which alone can install it: apt-get install %s", strings.Join(packages, " "))
	}
	for _, args := range [][]string{{"update"}, append([]string{"install", "--yes", "--no-install-recommends"}, packages...)} {
		cmd := exec.Command(apt, append([]string{"-o", "DPkg::Lock::Timeout=120"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
	}
	return nil
}

// need returns where the server is, and skips the test if it is nowhere. Where TAP tests must run it fails if
// apt is there and could not install it.
func (f foreign) need(t *testing.T) string {
	t.Helper()
	taptest.Need(t)
	at := f.find()
	if at == "" {
		if _, err := exec.LookPath("apt-get"); err == nil && taptest.Required() {
			t.Fatalf("no %s here: %s", f.pkg, os.Getenv(refusal))
		}
		t.Skipf("no %s here: %s", f.pkg, os.Getenv(refusal))
	}
	return at
}

// start starts a server on the kernel's side of the test's namespace, waits for the line in which it says that
// it is ready, and returns what ends it at once: its connections are reset or closed by the kernel.
func start(t *testing.T, cmd *exec.Cmd, ready string) (end func()) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = r.Close()
	}
	t.Cleanup(func() { end() })
	_ = w.Close() // so that the server's end is the end of the pipe
	var said strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if strings.Contains(lines.Text(), ready) {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return end
		}
	}
	t.Fatalf("%v ended:\n%s", cmd, &said)
	return nil
}
