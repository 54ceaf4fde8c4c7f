package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"testing"
)

// largestCycle bounds, for each package, how many of its files may form one cycle, in which each file makes use of each
// other, directly or by others: so many files one has to know to understand one of them. In a package that is not here
// a cycle has at most two. Lower a number as soon as the code allows it; raise one only for a reason.
var largestCycle = map[string]int{
	"fdtable":       18,
	"stack":         15,
	"stack/capture": 5,
	"stack/ip":      8,
	"stack/link":    3,
	"stack/sim":     8,
	"stack/tcp":     31,
	"stack/tcp/cc":  4,
	"tap":           6,
	"unet":          13,
}

// fileGraph says for each file of the module which files declare what it makes use of.
type fileGraph struct {
	uses map[string]map[string]bool // by path within the module
}

// readFileGraph type-checks the sources of all packages, tests aside.
func readFileGraph(t *testing.T) *fileGraph {
	t.Helper()
	c := &sourceChecker{library: needLibrary(t), set: token.NewFileSet(), checked: make(map[string]*types.Package)}
	c.graph = &fileGraph{uses: make(map[string]map[string]bool)}
	c.folders = make(map[string]string)
	for _, importPath := range c.library.own {
		c.folders[c.library.packages[importPath].Dir] = inModule(importPath)
	}
	for _, importPath := range c.library.own {
		if _, err := c.Import(importPath); err != nil {
			t.Fatal(err)
		}
	}
	return c.graph
}

// sourceChecker imports the module's packages from their sources, so that every name knows its file, and others from what
// the compiler wrote.
type sourceChecker struct {
	library *library
	set     *token.FileSet
	checked map[string]*types.Package
	folders map[string]string // paths within the module by folder
	graph   *fileGraph
}

// Import implements types.Importer.
func (c *sourceChecker) Import(importPath string) (*types.Package, error) {
	if p, ok := c.checked[importPath]; ok {
		return p, nil
	}
	if !slices.Contains(c.library.own, importPath) {
		return c.library.importer.Import(importPath)
	}
	source := c.library.packages[importPath]
	var files []*ast.File
	for _, name := range source.GoFiles {
		f, err := parser.ParseFile(c.set, filepath.Join(source.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object), Selections: make(map[*ast.SelectorExpr]*types.Selection)}
	config := types.Config{Importer: c, Sizes: types.SizesFor("gc", "amd64")}
	p, err := config.Check(importPath, c.set, files, info)
	if err != nil {
		return nil, err
	}
	c.checked[importPath] = p
	for _, f := range files {
		c.graph.uses[c.file(f.Pos())] = make(map[string]bool)
	}
	for name, o := range info.Uses {
		c.use(name, o)
	}
	return p, nil
}

// use notes that the file of a name needs that which declares o: a name of package level, a method or a field.
func (c *sourceChecker) use(name *ast.Ident, o types.Object) {
	if o.Pkg() == nil || !slices.Contains(c.library.own, o.Pkg().Path()) {
		return
	}
	switch o := o.(type) {
	case *types.PkgName:
		return
	case *types.Var:
		if !o.IsField() && o.Parent() != o.Pkg().Scope() {
			return
		}
	case *types.Func:
	default:
		if o.Parent() != o.Pkg().Scope() {
			return
		}
	}
	from, to := c.file(name.Pos()), c.file(o.Pos())
	if from != to {
		c.graph.uses[from][to] = true
	}
}

// file returns where a position is, as a path within the module.
func (c *sourceChecker) file(pos token.Pos) string {
	folder, file := filepath.Split(c.set.Position(pos).Filename)
	return c.folders[filepath.Clean(folder)] + "/" + file
}
