package docs_test

import (
	"flag"
	"fmt"
	"go/types"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/api.txt anew")

// share says how much of a package is in the API.
type share string

const (
	whole     share = "whole"      // every exported name
	handedOut share = "handed out" // types that the API of another package mentions, and what belongs to them
	noShare   share = "no"
)

var apiRow = regexp.MustCompile("^\\| `([^`]+)` \\| (whole|handed out|no)\\b.* \\|$")

// readShares reads the table in ARCHITECTURE.md's section "The API".
func readShares(t *testing.T) map[string]share {
	t.Helper()
	shares := make(map[string]share)
	inside := false
	for _, line := range lines(t, "../ARCHITECTURE.md") {
		if strings.HasPrefix(line, "## ") {
			inside = line == "## The API"
		}
		if row := apiRow.FindStringSubmatch(line); inside && row != nil {
			shares[row[1]] = share(row[2])
		}
	}
	return shares
}

// TestAPIPackages checks that ARCHITECTURE.md says of each package outside of internal and the programs whether it is in
// the API, and of no other.
func TestAPIPackages(t *testing.T) {
	shares := readShares(t)
	for _, importPath := range needLibrary(t).own {
		name := inModule(importPath)
		if _, ok := shares[name]; !ok && !strings.HasPrefix(name, "internal/") {
			t.Errorf("ARCHITECTURE.md does not say whether %s is in the API", name)
		}
		if strings.HasPrefix(name, "internal/") {
			continue
		}
		delete(shares, name)
	}
	for name := range shares {
		t.Errorf("ARCHITECTURE.md says that %s is in the API or not, and there is no such package outside of internal", name)
	}
}

// TestAPI holds docs/api.txt, which lists the API, to the code. `go test ./docs -run TestAPI -update` writes it anew, so
// that a change of the API is seen in the diff.
func TestAPI(t *testing.T) {
	const file = "api.txt"
	a := readAPI(t)
	slices.Sort(a.lines)
	text := "# The API of unet on Linux, written by `go test ./docs -run TestAPI -update`. ARCHITECTURE.md says what belongs to it.\n" +
		strings.Join(slices.Compact(a.lines), "\n") + "\n"
	for _, leak := range a.leaks {
		t.Error(leak)
	}
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, want := strings.Split(text, "\n"), lines(t, file)
	for _, line := range have {
		if !slices.Contains(want, line) {
			t.Errorf("%s lacks %q: is the new name meant to be there for years? If so, run the test with -update", file, line)
		}
	}
	for _, line := range want {
		if !slices.Contains(have, line) {
			t.Errorf("%s has %q, which the code no longer has: does a user's program still build? If so, run the test with -update", file, line)
		}
	}
}

// readAPI walks through the packages that are in the API whole, and through what these hand out of others.
func readAPI(t *testing.T) *api {
	t.Helper()
	l := needLibrary(t)
	a := &api{shares: readShares(t), seen: make(map[*types.TypeName]bool)}
	packages := make(map[string]*types.Package)
	for _, importPath := range l.own {
		p, err := l.importer.Import(importPath)
		if err != nil {
			t.Fatal(err)
		}
		packages[importPath] = p
	}
	a.findAliases(packages)
	for _, p := range packages {
		if a.shares[inModule(p.Path())] != whole {
			continue
		}
		for _, name := range p.Scope().Names() {
			if o := p.Scope().Lookup(name); o.Exported() {
				a.object(o)
			}
		}
	}
	a.drain()
	for again := true; again; { // what belongs to a type may hand out another type
		before := len(a.seen)
		for _, p := range packages {
			if a.shares[inModule(p.Path())] == handedOut {
				a.belongings(p)
			}
		}
		a.drain()
		again = len(a.seen) > before
	}
	return a
}

// TestAPILeaks checks that TestAPI would see a signature that mentions a type of an internal package, and one of a package
// that is not in the API.
func TestAPILeaks(t *testing.T) {
	internal := types.NewPackage(modulePath+"/internal/mono", "mono")
	hidden := types.NewTypeName(0, internal, "Time", nil)
	types.NewNamed(hidden, types.Typ[types.Int64], nil)
	public := types.NewPackage(modulePath+"/stack", "stack")
	made := func(name string, result types.Type) *types.Func {
		results := types.NewTuple(types.NewVar(0, public, "", types.NewMap(types.Typ[types.Int], types.NewSlice(result))))
		return types.NewFunc(0, public, name, types.NewSignatureType(nil, nil, nil, nil, results, false))
	}
	a := &api{shares: map[string]share{"stack": whole, "stack/tcp": handedOut}, seen: make(map[*types.TypeName]bool)}
	a.object(made("Elapsed", types.NewPointer(hidden.Type())))
	a.object(made("Count", types.Typ[types.Int]))
	a.drain()
	if got, want := fmt.Sprint(a.leaks), "[stack.Elapsed mentions internal/mono.Time, which is not in the API]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// With a name in the API it is no leak.
	a.leaks = nil
	public.Scope().Insert(types.NewTypeName(0, public, "Moment", types.NewAlias(types.NewTypeName(0, public, "Moment", nil), hidden.Type())))
	a.findAliases(map[string]*types.Package{"stack": public})
	a.object(made("Elapsed", types.NewPointer(hidden.Type())))
	a.drain()
	if last := a.lines[len(a.lines)-1]; len(a.leaks) > 0 || last != "pkg stack, type Moment int64" {
		t.Errorf("with an alias: leaks %v, and it is listed as %q", a.leaks, last)
	}
}
