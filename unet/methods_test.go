package unet

import (
	"bytes"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/unet-go/unet/stack"
)

// A program that is moved from package net must find every method, with its signature.
func TestMethodSets(t *testing.T) {
	same := map[reflect.Type]reflect.Type{ // where we have a type of our own
		reflect.TypeFor[*net.TCPConn]():      reflect.TypeFor[*TCPConn](),
		reflect.TypeFor[*net.TCPListener]():  reflect.TypeFor[*TCPListener](),
		reflect.TypeFor[*net.UDPConn]():      reflect.TypeFor[*UDPConn](),
		reflect.TypeFor[*net.Dialer]():       reflect.TypeFor[*Dialer](),
		reflect.TypeFor[*net.ListenConfig](): reflect.TypeFor[*ListenConfig](),
	}
	absent := map[string]bool{"*net.Dialer.DialIP": true, "*net.Dialer.DialUnix": true,
		// Who finds a syscall.Conn looks at its descriptor, and takes an error for a dead connection.
		"*net.TCPConn.SyscallConn": true, "*net.TCPListener.SyscallConn": true, "*net.UDPConn.SyscallConn": true}
	translate := func(m reflect.Method) (in, out []reflect.Type) {
		swap := func(t reflect.Type) reflect.Type {
			if s, ok := same[t]; ok {
				return s
			}
			return t
		}
		for i := 1; i < m.Type.NumIn(); i++ {
			in = append(in, swap(m.Type.In(i)))
		}
		for i := range m.Type.NumOut() {
			out = append(out, swap(m.Type.Out(i)))
		}
		return in, out
	}
	t.Run("E-GO-10 every method of package net's types exists with its signature", func(t *testing.T) {
		for theirs, ours := range same {
			for i := range theirs.NumMethod() {
				want := theirs.Method(i)
				if absent[theirs.String()+"."+want.Name] {
					continue
				}
				got, ok := ours.MethodByName(want.Name)
				if !ok {
					t.Errorf("%v has no %s", ours, want.Name)
					continue
				}
				wantIn, wantOut := translate(want)
				gotIn, gotOut := translate(got)
				if !reflect.DeepEqual(wantIn, gotIn) || !reflect.DeepEqual(wantOut, gotOut) {
					t.Errorf("%v.%s is %v, want %v", ours, want.Name, got.Type, want.Type)
				}
			}
		}
	})
	t.Run("fields of the options", func(t *testing.T) {
		for theirs, ours := range map[reflect.Type]reflect.Type{
			reflect.TypeFor[net.Dialer]():       reflect.TypeFor[Dialer](),
			reflect.TypeFor[net.ListenConfig](): reflect.TypeFor[ListenConfig](),
		} {
			for _, want := range reflect.VisibleFields(theirs) {
				if got, ok := ours.FieldByName(want.Name); want.IsExported() && (!ok || got.Type != want.Type) {
					t.Errorf("%v.%s is %v, want %v", ours, want.Name, got.Type, want.Type)
				}
			}
		}
	})
	t.Run("functions that dial and listen", func(t *testing.T) {
		absent := []string{"DialIP", "DialUnix", "ListenIP", "ListenUnix", "ListenUnixgram", "ListenMulticastUDP"}
		theirs := functions(t, filepath.Join(build.Default.GOROOT, "src", "net"))
		ours := functions(t, ".")
		if len(theirs) < 10 {
			t.Fatalf("package net has %v", theirs)
		}
		for name, want := range theirs {
			if !strings.HasPrefix(name, "Dial") && !strings.HasPrefix(name, "Listen") || slices.Contains(absent, name) {
				continue
			}
			if got := ours[name]; got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	})
	t.Run("a connection is 16 octets", func(t *testing.T) {
		if n := reflect.TypeFor[TCPConn]().Size(); n > 16 {
			t.Errorf("TCPConn has %d octets beside %v", n, reflect.TypeFor[stack.TCPConn]())
		}
	})
}

// functions returns the exported functions of a package's source with their parameters and results, whose names
// are left out, as are names of the packages that types are from.
func functions(t *testing.T, dir string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() {
				continue
			}
			var text bytes.Buffer
			for _, list := range []*ast.FieldList{f.Type.Params, f.Type.Results} {
				if list == nil {
					continue
				}
				for _, field := range list.List {
					for range max(1, len(field.Names)) {
						_ = printer.Fprint(&text, fset, field.Type)
						text.WriteByte(' ')
					}
				}
			}
			found[f.Name.Name] = strings.NewReplacer("net.", "", "context.", "", "time.", "").Replace(text.String())
		}
	}
	return found
}
