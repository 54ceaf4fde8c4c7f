package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The contestant base is unet at another revision, the one of -base. It has programs of its own, built
// from that revision's sources, so that old and new code are measured in turn within one run. The programs of the
// revision must have the flags with which today's programs are started.

const (
	baseName          = "base"
	benchmarksProgram = "benchmarks"
)

// baseDir returns the folder of the base's programs within the lab's.
func baseDir(dir string) string { return filepath.Join(dir, baseName) }

// buildBase builds the programs of o.Base, and returns the revision's short name.
func buildBase(ctx context.Context, o *options, dir string) (name string, err error) {
	said, err := command(ctx, "git", "rev-parse", "--verify", "--short=12", o.Base+"^{commit}").Output()
	if err != nil {
		return "", fmt.Errorf("-base %q is no commit of this repository: %w", o.Base, err)
	}
	name = strings.TrimSpace(string(said))
	sources := filepath.Join(dir, "sources")
	if err := extract(ctx, name, sources); err != nil {
		return "", fmt.Errorf("the sources of %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(sources)) }()
	into := baseDir(dir)
	if err := os.Mkdir(into, 0o700); err != nil {
		return "", err
	}
	if err := goBuild(ctx, sources, "-o", filepath.Join(into, httpProgram), "./examples/http"); err != nil {
		return "", err
	}
	module, folder := benchmarksOf(sources)
	if err := goBuild(ctx, module, "-o", filepath.Join(into, benchmarksProgram), folder); err != nil {
		return "", err
	}
	if slices.Contains(o.Parts, sizes.name) {
		err = goBuild(ctx, module, append(stripped, "-o", minimal(into, unetName), folder+"/internal/minimal/unet")...)
	}
	return name, err
}

// benchmarksOf returns the module of a revision's benchmarks, and their folder from there. They have a module of
// their own now, and were packages of unet's module before.
func benchmarksOf(sources string) (module, folder string) {
	own := filepath.Join(sources, "benchmarks")
	if _, err := os.Stat(filepath.Join(own, "go.mod")); err == nil {
		return own, "."
	}
	return sources, "./benchmarks"
}

// extract writes the tree of a commit to a folder that it makes.
func extract(ctx context.Context, commit, to string) error {
	cmd := command(ctx, "git", "archive", "--format=tar", commit)
	// git archive writes the folder that it is called in, so it is called at the top of the tree.
	top, err := command(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return err
	}
	cmd.Dir = strings.TrimSpace(string(top))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = untar(out, to)
	_, _ = io.Copy(io.Discard, out) // so that git can end
	return errors.Join(err, cmd.Wait())
}

// untar writes the regular files of an archive below a folder.
func untar(from io.Reader, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	for files := tar.NewReader(from); ; {
		head, err := files.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case head.Typeflag == tar.TypeDir:
			err = root.MkdirAll(filepath.Clean(head.Name), 0o700)
		case head.Typeflag == tar.TypeReg:
			err = writeFile(root, filepath.Clean(head.Name), files)
		}
		if err != nil {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
