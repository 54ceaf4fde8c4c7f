package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExtract writes the tree of a commit that is not the newest: what came later is not there.
func TestExtract(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	git := func(args ...string) {
		t.Helper()
		cmd := command(t.Context(), "git", slices.Concat([]string{"-c", "user.name=T", "-c", "user.email=t@example.org"}, args)...)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, said)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "-q")
	write("go.mod", "module old\n")
	write("in/side.go", "package in\n")
	git("add", ".")
	git("commit", "-q", "-m", "one")
	write("go.mod", "module new\n")
	write("later.go", "package later\n")
	git("add", ".")
	git("commit", "-q", "-m", "two")
	t.Chdir(filepath.Join(dir, "in")) // git archive alone would take this folder only

	to := filepath.Join(t.TempDir(), "sources")
	if err := extract(t.Context(), "HEAD^", to); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"go.mod": "module old\n", "in/side.go": "package in\n"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(to, "later.go")); err == nil {
		t.Error("a file of the next commit")
	}

	o := &options{Base: "no-such-revision"}
	if _, err := buildBase(t.Context(), o, t.TempDir()); err == nil || !strings.Contains(err.Error(), `-base "no-such-revision" is no commit`) {
		t.Errorf("an unknown revision: %v", err)
	}
}

// TestBenchmarksOf finds the benchmarks of revisions before and after they became a module of their own.
func TestBenchmarksOf(t *testing.T) {
	sources := t.TempDir()
	own := filepath.Join(sources, "benchmarks")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if module, folder := benchmarksOf(sources); module != sources || folder != "./benchmarks" {
		t.Errorf("packages of unet's module: %s in %s", folder, module)
	}
	if err := os.WriteFile(filepath.Join(own, "go.mod"), []byte("module b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if module, folder := benchmarksOf(sources); module != own || folder != "." {
		t.Errorf("a module: %s in %s", folder, module)
	}
}

// TestBaseTakesPart has the contestant only where -base names a revision.
func TestBaseTakesPart(t *testing.T) {
	for args, want := range map[string]bool{"": false, "-base HEAD": true, "-base HEAD -contestants unet": true} {
		o, err := parse(strings.Fields(args), os.Stderr)
		if err != nil || slices.Contains(o.Contestants, baseName) != want {
			t.Errorf("%q: %+v, %v", args, o, err)
		}
	}
}
