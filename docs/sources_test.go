package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// testPackage is what the test files of one folder say, by their top-level declarations.
type testPackage struct {
	names  map[string][]string // names of subtests, whole or the part that is a literal
	refers map[string][]string // the identifiers that a declaration mentions
}

// reach returns the names of subtests that a top-level test can have: those in its own text, and in what it uses.
func (p *testPackage) reach(test string) []string {
	var names []string
	seen := map[string]bool{test: true}
	for next := []string{test}; len(next) > 0; next = next[1:] {
		names = append(names, p.names[next[0]]...)
		for _, name := range p.refers[next[0]] {
			if !seen[name] {
				seen[name] = true
				next = append(next, name)
			}
		}
	}
	return names
}

// module is what the sources declare.
type module struct {
	declared map[string]bool // functions, methods and types, with the folder
	tests    map[string]*testPackage
	scripts  map[string][]string // the IDs in the rows line of each packet script
}

const scriptFolder = "fdtable/testdata/script"

// readModule parses every Go file, those of the modules below the top too, and reads the packet scripts.
func readModule(t *testing.T) *module {
	t.Helper()
	m := &module{declared: make(map[string]bool), tests: make(map[string]*testPackage), scripts: make(map[string][]string)}
	testFiles := make(map[string][]*ast.File)
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir():
			if name == ".git" {
				return filepath.SkipDir
			}
			return nil
		case strings.HasSuffix(name, ".script"):
			return m.readScript(file)
		case !strings.HasSuffix(name, ".go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(file), ".."+string(filepath.Separator)))
		if strings.HasSuffix(file, "_test.go") {
			testFiles[folder] = append(testFiles[folder], parsed)
		} else {
			m.declare(folder, parsed)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder, files := range testFiles {
		m.tests[folder] = readTests(files)
	}
	return m
}

func (m *module) readScript(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(filepath.ToSlash(file), "../"+scriptFolder+"/")
	m.scripts[name] = nil
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "rows "); ok {
			m.scripts[name] = append(m.scripts[name], ids(rest)...)
		}
	}
	return nil
}

// declare notes the functions, methods and types of a file.
func (m *module) declare(folder string, file *ast.File) {
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			name := decl.Name.Name
			if decl.Recv != nil {
				name = receiver(decl.Recv.List[0].Type) + "." + name
			}
			m.declared[folder+"."+name] = true
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				if spec, ok := spec.(*ast.TypeSpec); ok {
					m.declared[folder+"."+spec.Name.Name] = true
				}
			}
		}
	}
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return "(*" + receiver(e.X) + ")"
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

// readTests reads the test files of one folder.
func readTests(files []*ast.File) *testPackage {
	p := &testPackage{names: make(map[string][]string), refers: make(map[string][]string)}
	runners := findRunners(files)
	for _, file := range files {
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				p.read(decl.Name.Name, decl, runners)
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if spec, ok := spec.(*ast.ValueSpec); ok {
						p.read(spec.Names[0].Name, spec, runners)
					}
				}
			}
		}
	}
	return p
}

// read notes the names and the identifiers in one declaration. The name of a subtest stands in the call that runs it,
// or in a table or a variable, where it begins with an ID: messages of failures do not.
func (p *testPackage) read(decl string, node ast.Node, runners map[string]bool) {
	add := func(e ast.Expr, run bool) {
		for _, text := range literals(e) {
			if found := ids(text); len(found) > 0 && (run || strings.HasPrefix(text, found[0])) {
				p.names[decl] = append(p.names[decl], text)
			}
		}
	}
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			p.refers[decl] = append(p.refers[decl], n.Name)
		case *ast.CallExpr:
			if runners[callee(n)] {
				for _, arg := range n.Args {
					add(arg, true)
				}
			}
		case *ast.CompositeLit:
			for _, e := range n.Elts {
				if pair, ok := e.(*ast.KeyValueExpr); ok {
					add(pair.Key, false)
					e = pair.Value
				}
				add(e, false)
			}
		case *ast.AssignStmt:
			for _, e := range n.Rhs {
				add(e, false)
			}
		}
		return true
	})
}

// literals returns the strings in an expression that makes a name: a literal, a sum, a call such as Sprintf's.
func literals(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return []string{text}
		}
	case *ast.BinaryExpr:
		return append(literals(e.X), literals(e.Y)...)
	case *ast.CallExpr:
		if callee(e) == "Sprintf" {
			return literals(e.Args[0])
		}
	}
	return nil
}

func callee(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// findRunners returns what runs subtests: Run, and each function that passes a parameter of its own on to one that does.
func findRunners(files []*ast.File) map[string]bool {
	runners := map[string]bool{"Run": true}
	for grown := true; grown; {
		grown = false
		look := func(name string, params *ast.FieldList, body *ast.BlockStmt) {
			if body != nil && !runners[name] && passesOn(params, body, runners) {
				runners[name], grown = true, true
			}
		}
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					look(n.Name.Name, n.Type.Params, n.Body)
				case *ast.AssignStmt:
					name, okName := n.Lhs[0].(*ast.Ident)
					if f, ok := n.Rhs[0].(*ast.FuncLit); ok && okName {
						look(name.Name, f.Type.Params, f.Body)
					}
				}
				return true
			})
		}
	}
	return runners
}

// passesOn says whether a function gives a string parameter to a runner.
func passesOn(params *ast.FieldList, body *ast.BlockStmt, runners map[string]bool) (yes bool) {
	mine := make(map[string]bool)
	for _, field := range params.List {
		if kind, ok := field.Type.(*ast.Ident); ok && kind.Name == "string" {
			for _, name := range field.Names {
				mine[name.Name] = true
			}
		}
	}
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !runners[callee(call)] {
			return !yes
		}
		for _, arg := range call.Args {
			if _, ok := arg.(*ast.FuncLit); ok {
				continue
			}
			ast.Inspect(arg, func(n ast.Node) bool {
				name, ok := n.(*ast.Ident)
				yes = yes || ok && mine[name.Name]
				return true
			})
		}
		return true
	})
	return yes
}
