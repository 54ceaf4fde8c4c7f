package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const modulePath = "github.com/unet-go/unet"

// library is what the compiler knows of the module's packages outside of the programs, and of all that they import.
type library struct {
	packages map[string]listed // by import path
	own      []string          // import paths of the module's packages
	importer types.Importer
}

// listed is what `go list -export` says of a package.
type listed struct {
	ImportPath string
	Dir        string
	Export     string // the file with the types of what the package exports
	GoFiles    []string
	Standard   bool
}

// programs are the folders whose packages are no libraries, as in arch_test.go.
var programs = []string{"examples", "docs"}

// loadLibrary lists the packages once for all tests. It asks for Linux, so that the answer is the same everywhere.
var loadLibrary = sync.OnceValues(func() (*library, error) {
	all, err := goList("-json=ImportPath,GoFiles", "./...")
	if err != nil {
		return nil, err
	}
	l := &library{packages: make(map[string]listed)}
	for _, p := range all {
		first, _, _ := strings.Cut(inModule(p.ImportPath), "/")
		if len(p.GoFiles) > 0 && !slices.Contains(programs, first) {
			l.own = append(l.own, p.ImportPath)
		}
	}
	exported, err := goList(append([]string{"-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Standard"}, l.own...)...)
	if err != nil {
		return nil, err
	}
	for _, p := range exported {
		l.packages[p.ImportPath] = p
	}
	l.importer = importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if p, ok := l.packages[path]; ok && p.Export != "" {
			return os.Open(p.Export)
		}
		return nil, fmt.Errorf("no export data of %s", path)
	})
	return l, nil
})

// goList runs `go list` at the top of the module.
func goList(args ...string) ([]listed, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS=linux")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", cmd, err, &stderr)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// needLibrary is loadLibrary for a test.
func needLibrary(t *testing.T) *library {
	t.Helper()
	l, err := loadLibrary()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// inModule returns a package's path within the module, or the whole path of a package of another.
func inModule(importPath string) string { return strings.TrimPrefix(importPath, modulePath+"/") }
