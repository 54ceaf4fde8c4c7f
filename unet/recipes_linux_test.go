package unet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/unet-go/unet/tap/taptest"
)

// The recipes of README's "Reaching the server", run as they stand there. Each has a machine, in a network namespace
// of its own, where the commands and the server run, and a visitor, a container or another machine, in a third one.
// All of them are this test binary, which roleVariable tells what to be.
const visitorVariable = "UNET_TEST_VISITOR" // the visitor's address and its gateway

// recipe is a block of README. There is where its last lines are run, in the words of its comment.
type recipe struct {
	commands, there, url string
}

// place is what a recipe takes for granted: the machine's interface to the visitor, and their addresses.
type place struct {
	nic, machine, visitor, gateway string
	seen                           string // the client's address as the server sees it
}

var places = map[string]place{
	"":                 {seen: "10.0.0.1"},
	"in the container": {nic: "docker0", machine: "172.17.0.1/16", visitor: "172.17.0.2/16", gateway: "172.17.0.1", seen: "172.17.0.2"},
	"on another machine": {nic: "eth0", machine: "192.168.1.10/24", visitor: "192.168.1.20/24", gateway: "192.168.1.1",
		seen: "192.168.1.20"},
}

// recipes reads README.
func recipes(t *testing.T) (list []recipe) {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Reaching the server\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile("(?s)\n```sh\n(.*?)```\n").FindAllStringSubmatch(section, -1) {
		r := recipe{}
		here, curl, ok := strings.Cut(m[1], "curl ")
		if !ok {
			r.commands = m[1] // the way out
		} else {
			r.url = strings.TrimSpace(curl)
			r.commands, r.there, _ = strings.Cut(here, "# ")
			r.there = strings.TrimSuffix(strings.TrimSpace(r.there), ":")
		}
		list = append(list, r)
	}
	return list
}

func TestRecipes(t *testing.T) {
	switch role := os.Getenv(roleVariable); role {
	case "":
	case "server":
		greet(t)
		return
	case "visitor":
		visitMachine(t)
		return
	default:
		var i int
		if _, err := fmt.Sscan(role, &i); err != nil {
			t.Fatal(err)
		}
		onMachine(t, recipes(t)[i])
		return
	}
	taptest.Need(t)
	list := recipes(t)
	if len(list) != 5 {
		t.Fatalf("README has %d recipes", len(list))
	}
	for i, r := range list {
		name := r.there
		if name == "" {
			name = "on the machine"
		}
		if r.url == "" {
			name = "the way out"
		}
		t.Run(fmt.Sprintf("%d %s", i, name), func(t *testing.T) {
			for _, tool := range []string{"ip", "sysctl", "nft"} {
				if strings.Contains(r.commands, "sudo "+tool+" ") {
					needTool(t, tool)
				}
			}
			out, err := play(t, fmt.Sprint(i), nil).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// needTool skips the test if a command is not installed, where that may be: .ci/run installs it.
func needTool(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		taptest.Lacking(t, tool+" for the recipe", err, exec.ErrNotFound)
	}
}

// play returns this test binary, which runs the same test in another role and another network namespace, which goes away
// with it.
func play(t *testing.T, role string, env []string) *exec.Cmd {
	test, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// onMachine is the machine's part.
func onMachine(t *testing.T, r recipe) {
	at, ok := places[r.there]
	if !ok {
		t.Fatalf("a recipe for %q", r.there)
	}
	if r.url == "" {
		at = places["on another machine"]
		wayOut(t, r, at)
		return
	}
	get := fetchAsVisitor(t, at)
	shell := inShell(t, r.commands)
	if !strings.Contains(r.commands, "./server") {
		if out, err := shell.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		shell = inShell(t, "./server\n")
	}
	started(t, shell, "serving")
	if got, want := get(r.url), "hello "+at.seen; got != want {
		t.Errorf("%s: %q, want %q", r.url, got, want)
	}
}

// wayOut runs the commands and dials the visitor from the default host, which the visitor sees as the machine.
func wayOut(t *testing.T, r recipe, at place) {
	out := startVisitor(t, at)("serve")
	if all, err := inShell(t, r.commands).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, all)
	}
	visitor, machine := netip.MustParsePrefix(at.visitor), netip.MustParsePrefix(at.machine)
	if line := readLine(t, out, "SERVING"); line != "" {
		t.Fatal(line)
	}
	c, err := Dial("tcp", netip.AddrPortFrom(visitor.Addr(), 8080).String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != machine.Addr().String() {
		t.Errorf("the visitor sees %q, %v, want %v", got, err, machine.Addr())
	}
	h, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// inShell returns a shell that runs commands where sudo gives no more rights than there are, and ./server is one.
func inShell(t *testing.T, commands string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"sudo":   `exec env "$@"`, // env takes assignments in front, too
		"server": fmt.Sprintf("%s=server exec %s -test.run='^TestRecipes$' -test.v", roleVariable, exe),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", commands)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// started starts cmd, waits until it prints that it is ready, and ends it and its children with the test.
func started(t *testing.T, cmd *exec.Cmd, ready string) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	if line := readLine(t, bufio.NewScanner(out), ready); line != "" {
		t.Fatal(line)
	}
}

// readLine returns what follows prefix in the first line that begins with it.
func readLine(t *testing.T, lines *bufio.Scanner, prefix string) string {
	t.Helper()
	var all []string
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			return strings.TrimSpace(rest)
		}
		all = append(all, lines.Text())
	}
	t.Fatalf("no line %q in\n%s", prefix, strings.Join(all, "\n"))
	return ""
}

// fetchAsVisitor makes the visitor and returns a function with which it fetches a page; without a visitor the machine
// itself does.
func fetchAsVisitor(t *testing.T, at place) func(url string) string {
	if at.visitor == "" {
		loopback, err := netlink.LinkByName("lo")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(loopback); err != nil {
			t.Fatal(err)
		}
		return func(url string) string { return fetchPage(t, url) }
	}
	do := startVisitor(t, at)
	return func(url string) string { return readLine(t, do(url), "PAGE") }
}

// startVisitor starts the visitor, which has an interface to the machine, and returns a function that gives it its
// task and returns what it prints.
func startVisitor(t *testing.T, at place) (do func(task string) *bufio.Scanner) {
	t.Helper()
	cmd := play(t, "visitor", []string{visitorVariable + "=" + at.visitor + " " + at.gateway})
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = in.Close(), cmd.Process.Kill(), cmd.Wait() })
	attrs := netlink.NewLinkAttrs()
	attrs.Name = at.nic
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "nic", PeerNamespace: netlink.NsPid(cmd.Process.Pid)}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	setUp(t, at.nic, at.machine)
	return func(task string) *bufio.Scanner {
		if _, err := fmt.Fprintln(in, task); err != nil {
			t.Fatal(err)
		}
		return bufio.NewScanner(out)
	}
}

// setUp gives an interface its address and brings it up.
func setUp(t *testing.T, name, addr string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(link, a); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
}

// visitMachine is the visitor's part: it waits for a task, by when its interface is there.
func visitMachine(t *testing.T) {
	var addr, gateway, task string
	if _, err := fmt.Sscan(os.Getenv(visitorVariable), &addr, &gateway); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Scanln(&task); err != nil {
		t.Fatal(err)
	}
	setUp(t, "nic", addr)
	if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(gateway)}); err != nil {
		t.Fatal(err)
	}
	if task != "serve" {
		fmt.Println("PAGE", fetchPage(t, task))
		return
	}
	l, err := net.Listen("tcp4", ":8080")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("SERVING")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, c.RemoteAddr().(*net.TCPAddr).IP.String())
	_, _ = c.Close(), l.Close()
}

// fetchPage fetches what the server says.
func fetchPage(t *testing.T, url string) string {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// greet is ./server.
func greet(t *testing.T) {
	runtime.LockOSThread() // the signal below is for this thread: it ends the server with its shell when a test ends in a hurry
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	l, err := Listen("tcp", ":8080")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("serving")
	err = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = io.WriteString(w, "hello "+host)
	}))
	t.Fatal(err)
}
