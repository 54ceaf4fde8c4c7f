package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The names of programs and files in the lab's folder.
const (
	httpProgram   = "http"
	gvisorProgram = "gvisor"
	preparedFile  = "prepared.json"
	unetModule    = "github.com/unet-go/unet/"
)

// building is how long one program may take, fetching modules included.
const building = 5 * time.Minute

// prepare builds the programs into dir, and writes a file with all that it found out.
func prepare(ctx context.Context, o *options, dir string) (err error) {
	var p prepared
	if err := goBuild(ctx, "", "-o", filepath.Join(dir, httpProgram), unetModule+"examples/http"); err != nil {
		return err
	}
	if slices.Contains(o.Parts, sizes.name) {
		for _, name := range []string{"unet", "kernel"} {
			if err := goBuild(ctx, "", append(stripped, "-o", minimal(dir, name), unetModule+"benchmarks/internal/minimal/"+name)...); err != nil {
				return err
			}
		}
	}
	if slices.ContainsFunc(contestants, func(c *contestant) bool { return c.peer && slices.Contains(o.Contestants, c.name) }) {
		if err := buildPeers(ctx, o, dir); err != nil {
			p.Missing = append(p.Missing, fmt.Sprintf("gVisor's netstack is not compared: %v", err))
		}
	}
	if o.Base != "" {
		if p.Base, err = buildBase(ctx, o, dir); err != nil {
			return err
		}
	}
	if err := p.findWrk(ctx, o); err != nil {
		return err
	}
	p.Revision = revision(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, preparedFile), text, 0o600)
}

// stripped are the flags for a binary whose size is measured.
var stripped = []string{"-trimpath", "-ldflags=-s -w"}

// minimal returns the path of the smallest server of a contestant.
func minimal(dir, contestant string) string { return filepath.Join(dir, "minimal-"+contestant) }

// buildPeers builds the programs of the module peers. Its go.mod is copied: go adds the checksums of fetched modules, and
// a run should leave the sources as they are.
func buildPeers(ctx context.Context, o *options, dir string) error {
	root, err := command(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("its folder: %w", err)
	}
	from := filepath.Join(strings.TrimSpace(string(root)), "peers")
	mod := filepath.Join(dir, "peers.mod")
	for _, ext := range []string{".mod", ".sum"} {
		text, err := os.ReadFile(filepath.Join(from, "go"+ext))
		if errors.Is(err, os.ErrNotExist) && ext == ".sum" {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(strings.TrimSuffix(mod, ".mod")+ext, text, 0o600); err != nil {
			return err
		}
	}
	// Fetch it before, since go build would report a missing module once for each file that imports it.
	fetch := command(ctx, "go", "mod", "download", "-modfile="+mod, "gvisor.dev/gvisor")
	fetch.Dir = from
	if said, err := fetch.CombinedOutput(); err != nil {
		return fmt.Errorf("gvisor.dev/gvisor: %w: %s", err, oneLine(said))
	}
	if err := goBuild(ctx, from, "-mod=mod", "-modfile="+mod, "-o", filepath.Join(dir, gvisorProgram), "./gvisor"); err != nil {
		return err
	}
	if !slices.Contains(o.Parts, sizes.name) {
		return nil
	}
	return goBuild(ctx, from, append(stripped, "-mod=mod", "-modfile="+mod, "-o", minimal(dir, gvisorName), "./minimal")...)
}

// goBuild runs go build in a folder, by default the current one. Its error contains the output of go.
func goBuild(ctx context.Context, in string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, building)
	defer cancel()
	cmd := command(ctx, "go", append([]string{"build"}, args...)...)
	cmd.Dir = in
	said, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	return fmt.Errorf("go build %s: %w: %s", args[len(args)-1], err, oneLine(said))
}

// oneLine joins the lines of a program's output.
func oneLine(said []byte) string {
	return strings.Join(strings.FieldsFunc(string(said), func(r rune) bool { return r == '\n' }), "; ")
}

// findWrk looks for wrk, and installs it if -install is given.
func (p *prepared) findWrk(ctx context.Context, o *options) error {
	if o.Client == "builtin" {
		return nil
	}
	path, err := exec.LookPath("wrk")
	if err != nil && o.install {
		install := command(ctx, "apt-get", "install", "-y", "--no-install-recommends", "wrk")
		install.Stdout, install.Stderr = os.Stderr, os.Stderr
		if err := install.Run(); err != nil {
			return fmt.Errorf("install wrk: %w", err)
		}
		path, err = exec.LookPath("wrk")
	}
	switch {
	case err != nil && o.Client == "wrk":
		return fmt.Errorf("%w: try -install or -client builtin", err)
	case err != nil:
		return nil
	}
	p.Wrk = path
	said, _ := command(ctx, path, "-v").CombinedOutput() // exits with 1
	p.WrkVersion, _, _ = strings.Cut(string(said), "[")
	p.WrkVersion = strings.TrimSpace(p.WrkVersion)
	return nil
}

// revision returns the commit of the sources, and whether they were changed. Changed results do not count.
func revision(ctx context.Context) string {
	head, err := command(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed, err := command(ctx, "git", "status", "--porcelain", "--untracked-files=no", "--", ":(top)*.go", ":(top)*go.mod").Output()
	name := strings.TrimSpace(string(head))
	if err == nil && len(changed) > 0 {
		name += " with changes"
	}
	return name
}
