package tcp

import (
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// seams says which fields of a connection have one function each that sets them, so that what must hear of a change is
// told in one place. The key is the end of the expression that is assigned to.
var seams = map[string]string{
	"c.state":    "setState",
	"snd.wnd":    "setWindow",
	"snd.maxWnd": "setWindow",
	"snd.wl1":    "setWindow",
	"snd.wl2":    "setWindow",
	"c.cwnd":     "setCwnd",
	"c.ssthresh": "setCwnd",
}

// calledOnce says which functions are called by one other alone.
var calledOnce = map[string]string{
	"sb.lose": "noteLoss",
}

// TestSeams holds that no other function sets these fields or calls these functions.
func TestSeams(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set, used := token.NewFileSet(), map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, broken := range brokenSeams(set, f, used) {
			t.Error(broken)
		}
	}
	for _, rules := range []map[string]string{seams, calledOnce} {
		for what, by := range rules {
			if !used[what] {
				t.Errorf("%s is not set or called in %s: the rule is out of date", what, by)
			}
		}
	}
}

// TestSeamsBreak holds that TestSeams would see each way of breaking a rule.
func TestSeamsBreak(t *testing.T) {
	for line, want := range map[string]string{
		"c.state = Closed":                    "c.state",
		"x, c.state = 1, Closed":              "c.state",
		"c.snd.wnd += 3":                      "snd.wnd",
		"c.snd.maxWnd++":                      "snd.maxWnd",
		"p := &c.snd.wl1; *p = 3":             "snd.wl1",
		"c.snd = sendVars{una: 1, wl2: 3}":    "snd.wl2",
		"c.cwnd, c.recentUse = 1, 2":          "c.cwnd",
		"c.tx.sb.lose(3)":                     "sb.lose",
		"sb := &c.tx.sb; sb.lose(3)":          "sb.lose",
		"u.state = urgentHere; _ = c.snd.wnd": "",
	} {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, "x.go", "package x\nfunc f() { "+line+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		broken := brokenSeams(set, f, map[string]bool{})
		if (want == "") != (len(broken) == 0) || want != "" && !strings.Contains(broken[0], want) {
			t.Errorf("%s: %q, want %q", line, broken, want)
		}
	}
}

// brokenSeams returns a line for each place in a file that breaks a rule, and notes in used which rules are kept.
func brokenSeams(set *token.FileSet, f *ast.File, used map[string]bool) (broken []string) {
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		check := func(rules map[string]string, at token.Pos, expr string) {
			for what, by := range rules {
				switch {
				case expr != what && !strings.HasSuffix(expr, "."+what):
				case fn.Name.Name == by:
					used[what] = true
				default:
					broken = append(broken, set.Position(at).String()+": "+what+" is "+by+"'s alone")
				}
			}
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			for _, e := range written(n) {
				check(seams, e.Pos(), source(set, e))
			}
			switch n := n.(type) {
			case *ast.CallExpr:
				check(calledOnce, n.Pos(), source(set, n.Fun))
			case *ast.CompositeLit:
				if source(set, n.Type) == "sendVars" {
					for _, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok {
							check(seams, kv.Pos(), "snd."+source(set, kv.Key))
						}
					}
				}
			}
			return true
		})
	}
	slices.Sort(broken)
	return broken
}

// written returns the expressions that a node assigns to, or takes the address of.
func written(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		return n.Lhs
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	}
	return nil
}

// source returns an expression as it is written.
func source(set *token.FileSet, n ast.Node) string {
	var b strings.Builder
	if n == nil || printer.Fprint(&b, set, n) != nil {
		return ""
	}
	return b.String()
}
