package docs_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ipv4Root is another tree to count in: go test ./docs -run TestIPv4Names -v -ipv4.root=/old/tree
var ipv4Root = flag.String("ipv4.root", "..", "the tree in which TestIPv4Names counts")

// mostIPv4Names is how many places outside of the tables may name what only IPv4 has. Each is one more to think of when the
// stack learns IPv6. Lower it as soon as the code allows.
const mostIPv4Names = 8

// A name whose twin of IPv6 (send6 beside send4) is named by the same declaration does not count: that is code for both.

// ipv4Only matches names that only make sense for IPv4: of its headers and protocols, of conversions of its addresses, and
// those that end in 4.
var ipv4Only = regexp.MustCompile(`IPv4|ICMPv4|^ARP|^ProtocolICMP$|^EtherTypeARP$|^AddrFrom4$|^To4$|^As4$|[A-Za-z]4$`)

// ipv4Questions are names that ipv4Only matches too, with the reason why they do not count.
var ipv4Questions = map[string]string{
	"Is4":     "asks which family it is, as code for two families must",
	"v4":      "asks likewise, with v6 beside it",
	"Accept4": "the call accept4(2)",
}

// ipv4Tables are the files in which such names belong, as patterns.
var ipv4Tables = []string{"stack/ip/*4.go", "stack/ip/arp*.go", "stack/ip/family.go", "unet/family.go"}

// ipv4Rooms are the packages that are to know both families one day.
var ipv4Rooms = []string{"stack", "stack/ip", "stack/tcp", "unet", "fdtable"}

// ipv4Names returns where a tree names what only IPv4 has, by file as "line: name". Tests and ipv4Tables do not count, and
// neither do the reasons for drops (drop.ARPSender), which say what was dropped and decide nothing.
func ipv4Names(root string) (map[string][]string, error) {
	found := make(map[string][]string)
	for _, room := range ipv4Rooms {
		files, err := filepath.Glob(filepath.Join(root, room, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			name := room + "/" + filepath.Base(file)
			table := slices.ContainsFunc(ipv4Tables, func(pattern string) bool {
				matched, _ := filepath.Match(pattern, name)
				return matched
			})
			if table || strings.HasSuffix(file, "_test.go") {
				continue
			}
			src, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if places, err := ipv4NamesOf(name, src); err != nil {
				return nil, err
			} else if len(places) > 0 {
				found[name] = places
			}
		}
	}
	return found, nil
}

// ipv4NamesOf is ipv4Names for one file.
func ipv4NamesOf(name string, src []byte) (places []string, err error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, decl := range f.Decls {
		places = append(places, ipv4NamesIn(set, decl)...)
	}
	return places, nil
}

// ipv4NamesIn is ipv4Names for one declaration.
func ipv4NamesIn(set *token.FileSet, decl ast.Decl) (places []string) {
	names := make(map[string]bool)
	ast.Inspect(decl, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			names[id.Name] = true
		}
		return true
	})
	ast.Inspect(decl, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "drop" {
				return false
			}
		}
		if id, ok := n.(*ast.Ident); ok && ipv4Only.MatchString(id.Name) && ipv4Questions[id.Name] == "" && !hasTwin(names, id.Name) {
			places = append(places, fmt.Sprintf("%d: %s", set.Position(id.Pos()).Line, id.Name))
		}
		return true
	})
	return places
}

// hasTwin says whether the twin of a name is among names.
func hasTwin(names map[string]bool, name string) bool {
	twin := twin6(name)
	return twin != name && names[twin]
}

// twin6 returns what IPv6's twin of a name that only IPv4 has would be called.
func twin6(name string) string {
	switch name {
	case "ProtocolICMP":
		return "ProtocolICMPv6"
	case "As4":
		return "As16"
	case "IPv4Unspecified":
		return "IPv6Unspecified"
	}
	return strings.ReplaceAll(name, "4", "6")
}

// TestIPv4Names bounds how many places outside of the tables of the families name what only IPv4 has. With -v it lists
// them.
func TestIPv4Names(t *testing.T) {
	found, err := ipv4Names(*ipv4Root)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range slices.Sorted(maps.Keys(found)) {
		n += len(found[file])
		t.Logf("%s: %d: %s", file, len(found[file]), strings.Join(found[file], ", "))
	}
	t.Logf("%d names in %d files", n, len(found))
	if n > mostIPv4Names {
		t.Errorf("%d places name what only IPv4 has, and no more than %d may; -v lists them", n, mostIPv4Names)
	}
}

// TestIPv4NamesSees checks what TestIPv4Names counts.
func TestIPv4NamesSees(t *testing.T) {
	const src = `package x

var sent = wire.IPv4{Src: a.As4(), Protocol: wire.ProtocolICMP}

func send4() { reply(wire.ICMPv4EchoReply, Loopback4, info.TSO4, ip.To4(), wire.ARPLen) }

func both() { if v { putHeader4() } else { putHeader6() } }

// Neither IPv4 here, nor these.
func f() { drop.Add(drop.ARPSender); x.Is4(); y.Uint64(); Accept4(v4, v6, wire.ProtocolTCP, n6, IPv6Len, SHA256) }
`
	places, err := ipv4NamesOf("x.go", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	const want = "[3: IPv4 3: As4 3: ProtocolICMP 5: send4 5: ICMPv4EchoReply 5: Loopback4 5: TSO4 5: To4 5: ARPLen]"
	if got := fmt.Sprint(places); got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
}
