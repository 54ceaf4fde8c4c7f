// Package unet_test checks that the repository is built as ARCHITECTURE.md draws it.
package unet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/unet-go/unet"

// A room is a package and what its code, tests aside, may import.
type room struct {
	rooms   []string // of this module
	modules []string // of others
	pure    bool     // no lock, goroutine, clock or I/O
	noNet   bool     // no types of package net
}

const (
	xsys     = "golang.org/x/sys"
	water    = "github.com/songgao/water"
	gopacket = "github.com/gopacket/gopacket"
	xnet     = "golang.org/x/net" // pcapgo's, for its filters
)

var stackRooms = []string{"stack", "stack/ip", "stack/tcp", "stack/link", "internal/mono", "internal/wire", "internal/wheel",
	"internal/clock", "internal/drop", "internal/fifo", "internal/rate", "internal/span"}

var rooms = map[string]room{
	"internal/cmsg":   {rooms: append([]string{"stack"}, stackRooms...), noNet: true},
	"internal/clock":  {rooms: []string{"internal/mono"}, noNet: true},
	"internal/drop":   {noNet: true},
	"internal/fifo":   {pure: true, noNet: true},
	"internal/frames": {rooms: []string{"internal/wire", "stack/link"}, noNet: true}, // for tests alone
	"internal/rate":   {rooms: []string{"internal/mono"}, noNet: true},
	"internal/span":   {pure: true, noNet: true},
	"internal/mono":   {pure: true, noNet: true},
	"internal/wire":   {pure: true, noNet: true},
	"internal/wheel":  {pure: true, noNet: true},
	"stack/tcp":       {rooms: []string{"internal/fifo", "internal/mono", "internal/span", "stack/tcp/cc"}, pure: true, noNet: true},
	"stack/tcp/cc":    {rooms: []string{"internal/mono"}, pure: true, noNet: true},
	"stack/link":      {noNet: true},
	"stack/ip": {rooms: []string{"stack/link", "internal/clock", "internal/drop", "internal/fifo", "internal/mono", "internal/rate", "internal/span",
		"internal/wheel", "internal/wire"}, noNet: true},
	"stack":              {rooms: stackRooms[1:], modules: []string{xsys}, noNet: true},
	"stack/sim":          {rooms: []string{"stack/link", "internal/fifo"}, modules: []string{xsys}},
	"stack/capture":      {rooms: []string{"stack/link", "internal/wire"}, modules: []string{xsys, gopacket, xnet}},
	"stack/sim/stranger": {}, // tests alone
	"tap":                {rooms: []string{"stack/link"}, modules: []string{xsys, water}},
	"tap/taptest":        {rooms: []string{"stack/link", "tap"}, modules: []string{xsys, water}},
	"unet":               {rooms: append([]string{"tap", "internal/cmsg"}, stackRooms...), modules: []string{xsys}},
	"fdtable":            {rooms: append([]string{"internal/cmsg"}, stackRooms...), modules: []string{xsys}, noNet: true},
}

// programs are the folders whose packages may import anything. Nothing imports them. That of docs is tests alone.
var programs = []string{"examples", "docs"}

// top is what may stand at the top of the repository.
var top = []string{"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "Makefile", "go.mod", "go.sum", "docs", ".ci", ".github", "arch_test.go", "locks_test.go",
	"staticcheck.conf", ".gitignore", ".gitattributes", ".git", "unet", "fdtable", "stack", "internal", "tap", "examples", "benchmarks", "tools"}

// required are the modules in go.mod, and what needs them. Who imports unet sees all of them in `go mod graph`, so what
// only tools, benchmarks or tests of applications need is required by modules of their own.
var required = map[string]string{
	xsys:                                "unet, fdtable, stack, tap",
	water:                               "tap",
	gopacket:                            "stack/capture, and tests as a second opinion on formats",
	xnet:                                "stack/capture, and tests of package net's contracts",
	"github.com/valyala/fasthttp":       "examples, and tests of unet",
	"github.com/klauspost/compress":     "fasthttp",
	"github.com/molecule-man/go-brrr":   "fasthttp",
	"github.com/valyala/bytebufferpool": "fasthttp",
	"github.com/google/go-cmp":          "tests, which stand next to the code that they test",
	"go.uber.org/goleak":                "tests of all that starts goroutines",
	"github.com/vishvananda/netlink":    "tests, as a second opinion on devices and routes",
	"github.com/vishvananda/netns":      "netlink",
}

// impure are the standard packages whose use makes a room impure.
var impure = []string{"context", "io/fs", "log", "log/slog", "net", "os", "os/exec", "runtime", "sync", "sync/atomic", "syscall/js"}

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath    string
	Standard      bool
	Imports, Deps []string
	Module        *struct{ Path string }
}

// list runs `go list -deps` for one operating system.
func list(t *testing.T, goos string, flags ...string) map[string]listed {
	t.Helper()
	fields := "-json=ImportPath,Standard,Imports,Deps,Module"
	cmd := exec.Command("go", append(append([]string{"list", "-deps", fields}, flags...), "./...")...)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	packages := map[string]listed{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

// place returns the path of a package within the module, and whether it is of the module at all.
func place(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, module+"/")
}

func isProgram(place string) bool {
	first, _, _ := strings.Cut(place, "/")
	return slices.Contains(programs, first)
}

// brokenArrows returns a line for each import that ARCHITECTURE.md does not draw.
func brokenArrows(packages map[string]listed) (broken []string) {
	report := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	for importPath, p := range packages {
		from, ours := place(importPath)
		if !ours || isProgram(from) {
			continue
		}
		r, known := rooms[from]
		if !known {
			report("%s is no room of ARCHITECTURE.md", from)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := place(imported)
			switch {
			case ours && !slices.Contains(r.rooms, to):
				report("%s imports %s", from, to)
			case r.pure && slices.Contains(impure, imported):
				report("%s is pure and imports %s", from, imported)
			case r.noNet && (imported == "net" || strings.HasPrefix(imported, "net/") && imported != "net/netip"):
				report("%s imports %s", from, imported)
			}
		}
		for _, dep := range p.Deps {
			q := packages[dep]
			_, ours := place(dep)
			if ours || q.Standard || q.Module == nil {
				continue
			}
			if !slices.Contains(allowedModules(r), q.Module.Path) {
				report("%s depends on module %s", from, q.Module.Path)
			}
		}
	}
	slices.Sort(broken)
	return slices.Compact(broken)
}

// allowedModules returns the modules of the room and of the rooms that it may import.
func allowedModules(r room) []string {
	modules := slices.Clone(r.modules)
	for _, name := range r.rooms {
		modules = append(modules, rooms[name].modules...)
	}
	return modules
}

// TestArrows checks who imports whom, on each operating system that the code has files for.
func TestArrows(t *testing.T) {
	for _, c := range []struct {
		goos  string
		flags []string
	}{
		{"linux", nil}, {"linux", []string{"-tags=unetdebug"}}, {"darwin", nil}, {"windows", nil}, {"freebsd", nil},
	} {
		packages := list(t, c.goos, c.flags...)
		for _, line := range brokenArrows(packages) {
			t.Errorf("%s %v: %s", c.goos, c.flags, line)
		}
		for name := range rooms {
			if _, ok := packages[module+"/"+name]; !ok && c.goos == "linux" {
				t.Errorf("%v: room %s is empty", c.flags, name)
			}
		}
	}
}

// TestArrowsBreak checks that TestArrows would see a broken arrow of each kind.
func TestArrowsBreak(t *testing.T) {
	gvisor := &struct{ Path string }{"gvisor.dev/gvisor"}
	for _, c := range []struct {
		from string
		to   listed
		want string
	}{
		{"stack/tcp", listed{ImportPath: module + "/internal/wire"}, "stack/tcp imports internal/wire"},
		{"stack/tcp/cc", listed{ImportPath: module + "/stack/tcp"}, "stack/tcp/cc imports stack/tcp"},
		{"internal/mono", listed{ImportPath: module + "/stack/tcp"}, "internal/mono imports stack/tcp"},
		{"stack/tcp", listed{ImportPath: "sync", Standard: true}, "stack/tcp is pure and imports sync"},
		{"stack/ip", listed{ImportPath: module + "/stack"}, "stack/ip imports stack"},
		{"stack/ip", listed{ImportPath: module + "/stack/tcp"}, "stack/ip imports stack/tcp"},
		{"stack", listed{ImportPath: module + "/tap"}, "stack imports tap"},
		{"stack", listed{ImportPath: "net/http", Standard: true}, "stack imports net/http"},
		{"stack", listed{ImportPath: module + "/stack/capture"}, "stack imports stack/capture"},
		{"unet", listed{ImportPath: module + "/stack/capture"}, "unet imports stack/capture"},
		{"unet", listed{ImportPath: module + "/fdtable"}, "unet imports fdtable"},
		{"unet", listed{ImportPath: module + "/examples/http"}, "unet imports examples/http"},
		{"fdtable", listed{ImportPath: module + "/unet"}, "fdtable imports unet"},
		{"fdtable", listed{ImportPath: "net", Standard: true}, "fdtable imports net"},
		{"stack/sim", listed{ImportPath: module + "/stack"}, "stack/sim imports stack"},
		{"stack/helper", listed{ImportPath: "fmt", Standard: true}, "stack/helper is no room of ARCHITECTURE.md"},
		{"stack/link", listed{ImportPath: "gvisor.dev/gvisor/pkg/tcpip", Module: gvisor}, "stack/link depends on module gvisor.dev/gvisor"},
		{"stack", listed{ImportPath: "net/netip", Standard: true}, ""},
		{"unet", listed{ImportPath: module + "/tap"}, ""},
		{"examples/http", listed{ImportPath: module + "/stack/capture"}, ""},
	} {
		from := listed{ImportPath: module + "/" + c.from, Imports: []string{c.to.ImportPath}, Deps: []string{c.to.ImportPath}}
		got := brokenArrows(map[string]listed{from.ImportPath: from, c.to.ImportPath: c.to})
		got = slices.DeleteFunc(got, func(line string) bool { return !strings.HasPrefix(line, c.from+" ") })
		if joined := strings.Join(got, "; "); joined != c.want {
			t.Errorf("%s importing %s: %q, want %q", c.from, c.to.ImportPath, joined, c.want)
		}
	}
}

// TestTop checks that nothing but the house's own entries stands at the top, files that git ignores aside.
func TestTop(t *testing.T) {
	ignored, err := os.ReadFile(".gitignore")
	if err != nil {
		t.Fatal(err)
	}
	patterns := strings.Fields(string(ignored))
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		match := func(pattern string) bool {
			ok, err := path.Match(strings.Trim(pattern, "/"), e.Name())
			return ok && err == nil
		}
		if !slices.Contains(top, e.Name()) && !slices.ContainsFunc(patterns, match) {
			t.Errorf("%s stands at the top", e.Name())
		}
	}
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "LICENSE", "Makefile", ".ci/run"} {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestModules checks that go.mod requires what the table says and nothing else, tools included.
func TestModules(t *testing.T) {
	text, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct{ Require, Tool []struct{ Path string } }
	if err := json.Unmarshal(text, &mod); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, m := range append(mod.Require, mod.Tool...) {
		seen[m.Path] = true
		if required[m.Path] == "" {
			t.Errorf("go.mod requires %s: does it belong into a module of its own?", m.Path)
		}
	}
	for path, why := range required {
		if !seen[path] {
			t.Errorf("go.mod does not require %s any more (%s)", path, why)
		}
	}
}

// parse calls visit for each file of a room, whatever its build constraints, tests aside.
func parse(t *testing.T, name string, visit func(*token.FileSet, *ast.File)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(name), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		visit(set, f)
	}
}

// TestPure checks that the rooms which take the time as a parameter neither read a clock nor start a goroutine.
func TestPure(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	for name, r := range rooms {
		if !r.pure {
			continue
		}
		parse(t, name, func(set *token.FileSet, f *ast.File) {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%v: a pure room starts a goroutine", set.Position(n.Pos()))
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
						t.Errorf("%v: a pure room calls time.%s", set.Position(n.Pos()), n.Sel.Name)
					}
				}
				return true
			})
		})
	}
}

// TestDocumented checks that every room has a package comment and every exported name in it a comment.
func TestDocumented(t *testing.T) {
	for name := range rooms {
		documented := false
		parse(t, name, func(set *token.FileSet, f *ast.File) {
			documented = documented || f.Doc != nil
			for _, pos := range undocumented(f) {
				t.Errorf("%v: an exported name without a comment", set.Position(pos))
			}
		})
		if !documented {
			t.Errorf("%s has no package comment", name)
		}
	}
}

// undocumented returns where a file's exported names stand that have no comment: functions, methods of exported
// types, types, and constants and variables, for which the comment of their group will do.
func undocumented(f *ast.File) (at []token.Pos) {
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Name.IsExported() && decl.Doc == nil && (decl.Recv == nil || exportedReceiver(decl.Recv)) {
				at = append(at, decl.Name.Pos())
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() && decl.Doc == nil && spec.Doc == nil {
						at = append(at, spec.Name.Pos())
					}
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						if name.IsExported() && decl.Doc == nil && spec.Doc == nil && spec.Comment == nil {
							at = append(at, name.Pos())
						}
					}
				}
			}
		}
	}
	return at
}

// exportedReceiver says whether a method's receiver is of an exported type, generic or not.
func exportedReceiver(fields *ast.FieldList) bool {
	expr := fields.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}
