package unet_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// The rule of ARCHITECTURE.md, "Shards and locks": a function whose name ends in Locked is called by its like, or by a
// function that has taken a lock before and has not given it back. A function whose name begins with lock or unlock
// returns with the lock taken, or given back. lockWalk follows each function's statements in order. It does not know
// which lock is meant: one is as good as another.

// lockExceptions are functions that are called with the lock held though their names do not say so, or that only pass a
// function on to be called so.
var lockExceptions = map[string]string{
	"(*connSink).Transmit": "the method of tcp.Sink: a TCB is called under its shard's lock",
	"(*tcpLayer).init":     "fireFunc is called by the wheel, which advance turns under the shard's lock",
	"newNeighborCache":     "expired is called by the wheel, which advance turns under the cache's lock",
}

// lockWalk checks one function.
type lockWalk struct {
	set    *token.FileSet
	name   string
	broken []string
}

// brokenLocks returns what in a file breaks the rule.
func brokenLocks(set *token.FileSet, f *ast.File) (broken []string) {
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		w := lockWalk{set: set, name: funcName(fn)}
		if lockExceptions[w.name] == "" {
			w.block(fn.Body.List, strings.HasSuffix(fn.Name.Name, "Locked") || strings.HasPrefix(fn.Name.Name, "unlock"))
			broken = append(broken, w.broken...)
		}
	}
	return broken
}

// funcName returns a function's name with its receiver, as (*shard).lock.
func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	star, ok := fn.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return fn.Name.Name
	}
	if id, ok := star.X.(*ast.Ident); ok {
		return "(*" + id.Name + ")." + fn.Name.Name
	}
	return fn.Name.Name
}

// block follows statements. held says whether a lock is held before them; the results say whether it is held behind
// them, and whether they end the function or the loop, so that nothing comes behind them.
func (w *lockWalk) block(list []ast.Stmt, held bool) (after, ends bool) {
	for _, s := range list {
		if held, ends = w.stmt(s, held); ends {
			return held, true
		}
	}
	return held, false
}

func (w *lockWalk) stmt(s ast.Stmt, held bool) (after, ends bool) {
	switch s := s.(type) {
	case *ast.BlockStmt:
		return w.block(s.List, held)
	case *ast.LabeledStmt:
		return w.stmt(s.Stmt, held)
	case *ast.ReturnStmt:
		return w.uses(s, held), true
	case *ast.BranchStmt:
		return held, true
	case *ast.IfStmt:
		if s.Init != nil {
			held = w.uses(s.Init, held)
		}
		held = w.uses(s.Cond, held)
		branches := []branch{{held, false}}
		if s.Else != nil {
			branches[0] = asBranch(w.stmt(s.Else, held))
		}
		return merge(append(branches, asBranch(w.block(s.Body.List, held))))
	case *ast.ForStmt:
		if s.Init != nil {
			held = w.uses(s.Init, held)
		}
		if s.Cond != nil {
			held = w.uses(s.Cond, held)
		}
		after, ends := w.block(s.Body.List, held)
		if s.Post != nil {
			w.uses(s.Post, held)
		}
		return held && (after || ends), false
	case *ast.RangeStmt:
		held = w.uses(s.X, held)
		after, ends := w.block(s.Body.List, held)
		return held && (after || ends), false
	case *ast.SwitchStmt:
		for _, n := range []ast.Node{s.Init, s.Tag} {
			if !isNil(n) {
				held = w.uses(n, held)
			}
		}
		return w.clauses(s.Body, held)
	case *ast.TypeSwitchStmt:
		return w.clauses(s.Body, w.uses(s.Assign, held))
	case *ast.SelectStmt:
		return w.clauses(s.Body, held)
	case *ast.DeferStmt: // its unlock comes at the end; a function literal is taken to run with what is held here
		if lit, ok := s.Call.Fun.(*ast.FuncLit); ok {
			w.block(lit.Body.List, held)
		} else if isLocked(s.Call) {
			w.uses(s.Call, held)
		}
		return held, false
	case *ast.GoStmt:
		w.uses(s.Call, false)
		return held, false
	}
	return w.uses(s, held), false
}

type branch struct{ held, ends bool }

func asBranch(held, ends bool) branch { return branch{held, ends} }

// merge says how it goes on behind branches of which one is taken.
func merge(branches []branch) (held, ends bool) {
	held, ends = true, true
	for _, b := range branches {
		if !b.ends {
			held, ends = held && b.held, false
		}
	}
	return held, ends
}

// clauses follows the cases of a switch or select.
func (w *lockWalk) clauses(body *ast.BlockStmt, held bool) (after, ends bool) {
	var branches []branch
	hasDefault := false
	for _, s := range body.List {
		switch c := s.(type) {
		case *ast.CaseClause:
			hasDefault = hasDefault || c.List == nil
			for _, e := range c.List {
				w.uses(e, held)
			}
			branches = append(branches, asBranch(w.breakable(c.Body, held)))
		case *ast.CommClause:
			hasDefault = true // a select takes one of its cases
			branches = append(branches, asBranch(w.breakable(c.Body, held)))
		}
	}
	if !hasDefault {
		branches = append(branches, branch{held, false})
	}
	return merge(branches)
}

// breakable is block for a case, which a break at its end only leaves.
func (w *lockWalk) breakable(list []ast.Stmt, held bool) (after, ends bool) {
	if n := len(list); n > 0 {
		if b, ok := list[n-1].(*ast.BranchStmt); ok && b.Tok == token.BREAK && b.Label == nil {
			return w.block(list[:n-1], held)
		}
	}
	return w.block(list, held)
}

// uses checks the calls in a statement or an expression without a block, in their order, and returns whether a lock is
// held behind them. A function literal counts as called where it stands, unless it is a goroutine's or a timer's.
func (w *lockWalk) uses(n ast.Node, held bool) bool {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			w.block(n.Body.List, held)
			return false
		case *ast.CallExpr:
			name := callee(n)
			if f, ok := n.Fun.(*ast.SelectorExpr); ok {
				held = w.uses(f.X, held)
			}
			for _, arg := range n.Args {
				held = w.uses(arg, held && name != "AfterFunc")
			}
			switch {
			case isLocked(n) && !held:
				w.broken = append(w.broken, fmt.Sprintf("%v: %s calls %s without a lock", w.set.Position(n.Pos()), w.name, name))
			case strings.HasPrefix(name, "lock") || name == "Lock" || name == "RLock":
				held = true
			case strings.HasPrefix(name, "unlock") || name == "Unlock" || name == "RUnlock":
				held = false
			}
			if lit, ok := n.Fun.(*ast.FuncLit); ok {
				w.block(lit.Body.List, held)
			}
			return false
		case *ast.SelectorExpr: // no call: a function value
			if strings.HasSuffix(n.Sel.Name, "Locked") && !held {
				w.broken = append(w.broken, fmt.Sprintf("%v: %s passes %s on without a lock", w.set.Position(n.Pos()), w.name, n.Sel.Name))
			}
		}
		return true
	})
	return held
}

// callee returns the name of the function that is called, without its receiver or package.
func callee(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

func isLocked(call *ast.CallExpr) bool { return strings.HasSuffix(callee(call), "Locked") }

func isNil(n ast.Node) bool {
	switch n := n.(type) {
	case ast.Expr:
		return n == nil
	case ast.Stmt:
		return n == nil
	}
	return n == nil
}

// TestLocks checks that who calls a ...Locked function holds a lock.
func TestLocks(t *testing.T) {
	for name, r := range rooms {
		if r.pure {
			continue // it has no locks
		}
		parse(t, name, func(set *token.FileSet, f *ast.File) {
			for _, line := range brokenLocks(set, f) {
				t.Error(line)
			}
		})
	}
}

// TestLocksBreak checks that TestLocks would see what it is for.
func TestLocksBreak(t *testing.T) {
	for _, c := range []struct {
		body   string
		broken int
	}{
		{"s.fooLocked()", 1},
		{"s.lock(); s.fooLocked(); s.unlock()", 0},
		{"s.mu.Lock(); defer s.mu.Unlock(); if s.fooLocked() { return }; s.fooLocked()", 0},
		{"s.lock(); s.unlock(); s.fooLocked()", 1},
		{"s.lock(); if x { s.unlock(); return }; s.fooLocked()", 0},
		{"s.lock(); if x { s.unlock() }; s.fooLocked()", 1},
		{"if x { s.lock(); s.fooLocked() } else { s.lock() }; s.fooLocked()", 0},
		{"for x { s.fooLocked(); s.lock() }", 1},
		{"for x { s.lock(); if y { break }; s.unlock() }; s.fooLocked()", 1},
		{"s.lock(); for x { s.unlock() }; s.fooLocked()", 1},
		{"s.lock(); go s.fooLocked()", 1},
		{"s.lock(); time.AfterFunc(d, func() { s.fooLocked() })", 1},
		{"s.lock(); s.each(func() { s.fooLocked() })", 0},
		{"s.each(func() { s.fooLocked() })", 1},
		{"return s.fooLocked()", 1},
		{"switch { case x: s.lock(); default: return }; s.fooLocked()", 0},
		{"switch { case x: s.lock() }; s.fooLocked()", 1},
		{"switch s.lock(); s.fooLocked() { case 1: break; case s.fooLocked(): }", 0},
		{"c := s.lockNew(); c.fooLocked()", 0},
		{"x := T{a: s.fooLocked()}; _ = x", 1},
		{"s.fooLocked().bar()", 1},
		{"s.f = s.fooLocked", 1},
	} {
		set := token.NewFileSet()
		for _, name := range []string{"foo", "barLocked"} {
			f, err := parser.ParseFile(set, "x.go", "package x\nfunc (s *T) "+name+"() { "+c.body+" }", 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := brokenLocks(set, f); name == "foo" && len(got) != c.broken {
				t.Errorf("%s: %q, want %d", c.body, got, c.broken)
			} else if name != "foo" && len(got) > 0 && !strings.Contains(c.body, "nlock") && !strings.Contains(c.body, "go") && !strings.Contains(c.body, "After") {
				t.Errorf("in a Locked function, %s: %q", c.body, got)
			}
		}
	}
}
