package docs_test

import (
	"fmt"
	"go/token"
	"go/types"
	"strings"
)

// api collects the lines of the list, and the types that the API mentions and a user has no right to.
type api struct {
	shares map[string]share
	lines  []string
	leaks  []string
	seen   map[*types.TypeName]bool
	next   []*types.TypeName // named types of the module that are mentioned, and not listed yet
	// aliases has the name in the API of a type that is declared in a package that is not: stack.Drop for
	// internal/drop.Reason.
	aliases map[*types.TypeName]*types.TypeName
}

// findAliases fills aliases from the aliases of packages that are in the API.
func (a *api) findAliases(packages map[string]*types.Package) {
	a.aliases = make(map[*types.TypeName]*types.TypeName)
	for _, p := range packages {
		if !a.inAPI(p) {
			continue
		}
		for _, name := range p.Scope().Names() {
			alias, ok := p.Scope().Lookup(name).(*types.TypeName)
			if !ok || !alias.Exported() || !alias.IsAlias() {
				continue
			}
			if named, ok := types.Unalias(alias.Type()).(*types.Named); ok && !a.inAPI(named.Obj().Pkg()) {
				a.aliases[named.Obj()] = alias
			}
		}
	}
}

func (a *api) inAPI(p *types.Package) bool {
	if p == nil {
		return false
	}
	s := a.shares[inModule(p.Path())]
	return s == whole || s == handedOut
}

// nameOf returns the name that a type has in the API.
func (a *api) nameOf(o *types.TypeName) *types.TypeName {
	if alias := a.aliases[o]; alias != nil {
		return alias
	}
	return o
}

func (a *api) add(p *types.Package, format string, args ...any) {
	a.lines = append(a.lines, "pkg "+inModule(p.Path())+", "+fmt.Sprintf(format, args...))
}

// object lists an exported name of a package.
func (a *api) object(o types.Object) {
	from := inModule(o.Pkg().Path()) + "." + o.Name()
	switch o := o.(type) {
	case *types.Const:
		a.mention(from, o.Type())
		a.add(o.Pkg(), "const %s %s", o.Name(), typeText(o.Pkg(), o.Type()))
	case *types.Var:
		a.mention(from, o.Type())
		a.add(o.Pkg(), "var %s %s", o.Name(), typeText(o.Pkg(), o.Type()))
	case *types.Func:
		a.mention(from, o.Type())
		a.add(o.Pkg(), "func %s%s", o.Name(), signatureText(o))
	case *types.TypeName:
		if o.IsAlias() {
			a.mention(from, types.Unalias(o.Type()))
			a.add(o.Pkg(), "type %s = %s", o.Name(), typeText(o.Pkg(), types.Unalias(o.Type())))
			return
		}
		a.mention(from, o.Type())
	}
}

// drain lists the types that were mentioned, and those that they mention.
func (a *api) drain() {
	for len(a.next) > 0 {
		o := a.next[0]
		a.next = a.next[1:]
		a.namedType(o)
	}
}

// namedType lists a type with its fields and methods.
func (a *api) namedType(o *types.TypeName) {
	values, pointers := types.NewMethodSet(o.Type()), types.NewMethodSet(types.NewPointer(o.Type()))
	underlying := o.Type().Underlying()
	o = a.nameOf(o)
	from := inModule(o.Pkg().Path()) + "." + o.Name()
	switch u := underlying.(type) {
	case *types.Struct:
		a.add(o.Pkg(), "type %s struct", o.Name())
		a.fields(o, from, u)
	case *types.Interface:
		a.add(o.Pkg(), "type %s interface", o.Name())
		for m := range u.Methods() {
			if m.Exported() {
				a.mention(from+"."+m.Name(), m.Type())
				a.add(o.Pkg(), "type %s interface, %s%s", o.Name(), m.Name(), signatureText(m))
			} else {
				a.add(o.Pkg(), "type %s interface, and methods that no other package can have", o.Name())
			}
		}
		return
	default:
		a.mention(from, u)
		a.add(o.Pkg(), "type %s %s", o.Name(), typeText(o.Pkg(), u))
	}
	for m := range pointers.Methods() {
		f := m.Obj().(*types.Func)
		if !f.Exported() {
			continue
		}
		receiver := "*" + o.Name()
		if values.Lookup(f.Pkg(), f.Name()) != nil {
			receiver = o.Name()
		}
		a.mention(from+"."+f.Name(), f.Type())
		a.add(o.Pkg(), "method (%s) %s%s", receiver, f.Name(), signatureText(f))
	}
}

// fields lists the exported fields of a struct, and those that it has from structs embedded in it.
func (a *api) fields(o *types.TypeName, from string, s *types.Struct) {
	for f := range s.Fields() {
		if f.Exported() {
			a.mention(from+"."+f.Name(), f.Type())
			a.add(o.Pkg(), "type %s struct, %s %s", o.Name(), f.Name(), typeText(o.Pkg(), f.Type()))
			continue
		}
		if inner, ok := f.Type().Underlying().(*types.Struct); ok && f.Embedded() {
			a.fields(o, from, inner)
		}
	}
}

// belongings lists what a package that is handed out in part has for the types that are: constants and variables of such
// a type, and functions that make one.
func (a *api) belongings(p *types.Package) {
	for _, name := range p.Scope().Names() {
		o := p.Scope().Lookup(name)
		of := o.Type()
		switch o.(type) {
		case *types.Func:
			results := of.(*types.Signature).Results()
			if results.Len() == 0 {
				continue
			}
			of = results.At(0).Type()
		case *types.TypeName:
			continue
		}
		if pointer, ok := of.(*types.Pointer); ok {
			of = pointer.Elem()
		}
		if named, ok := of.(*types.Named); ok && o.Exported() && named.Obj().Pkg() == p && a.seen[named.Obj()] {
			a.object(o)
		}
	}
}

// mention notes the module's types in a type of which the name from makes use.
func (a *api) mention(from string, t types.Type) {
	switch t := t.(type) {
	case *types.Alias:
		a.mention(from, types.Unalias(t))
	case *types.Named:
		a.mentionName(from, t.Obj())
		for arg := range t.TypeArgs().Types() {
			a.mention(from, arg)
		}
	case *types.Signature:
		for _, tuple := range []*types.Tuple{t.Params(), t.Results()} {
			for v := range tuple.Variables() {
				a.mention(from, v.Type())
			}
		}
	case *types.Struct: // one without a name
		for f := range t.Fields() {
			a.mention(from, f.Type())
		}
	case *types.Interface:
		for m := range t.Methods() {
			a.mention(from, m.Type())
		}
	case *types.Map:
		a.mention(from, t.Key())
		a.mention(from, t.Elem())
	case interface{ Elem() types.Type }: // pointer, slice, array, channel
		a.mention(from, t.Elem())
	}
}

func (a *api) mentionName(from string, o *types.TypeName) {
	if o.Pkg() == nil || !strings.HasPrefix(o.Pkg().Path(), modulePath+"/") || a.seen[o] {
		return
	}
	if a.inAPI(o.Pkg()) || a.aliases[o] != nil {
		a.seen[o] = true
		a.next = append(a.next, o)
		return
	}
	place := inModule(o.Pkg().Path())
	a.leaks = append(a.leaks, fmt.Sprintf("%s mentions %s.%s, which is not in the API", from, place, o.Name()))
}

func typeText(p *types.Package, t types.Type) string {
	return types.TypeString(t, func(other *types.Package) string {
		if other == p {
			return ""
		}
		return other.Name()
	})
}

// signatureText is a function's type without the names of its parameters, which a caller does not see.
func signatureText(f *types.Func) string {
	s := f.Signature()
	if s.TypeParams().Len() == 0 {
		nameless := func(tuple *types.Tuple) *types.Tuple {
			var vars []*types.Var
			for v := range tuple.Variables() {
				vars = append(vars, types.NewParam(token.NoPos, v.Pkg(), "", v.Type()))
			}
			return types.NewTuple(vars...)
		}
		s = types.NewSignatureType(nil, nil, nil, nameless(s.Params()), nameless(s.Results()), s.Variadic())
	}
	return strings.TrimPrefix(typeText(f.Pkg(), s), "func")
}
