package docs_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestFileGraph bounds the cycles of files in each package. With -v it prints the graph's figures, and each file's floor:
// files on floor 1 use no other file of the module, and every other file stands one floor above the highest that it
// uses. The files of a cycle share a floor.
func TestFileGraph(t *testing.T) {
	g := readFileGraph(t)
	floors := g.floors()
	byPackage := make(map[string][]string)
	for _, file := range slices.Sorted(maps.Keys(g.uses)) {
		byPackage[path.Dir(file)] = append(byPackage[path.Dir(file)], file)
	}
	for _, name := range slices.Sorted(maps.Keys(byPackage)) {
		files := byPackage[name]
		edges, mutual := g.count(files)
		largest := slices.MaxFunc(g.cycles(files), func(a, b []string) int { return len(a) - len(b) })
		t.Logf("%s: %d files, %d edges, %d pairs of files that use each other, largest cycle %d: %s",
			name, len(files), edges, mutual, len(largest), bases(largest))
		if most := max(2, largestCycle[name]); len(largest) > most {
			t.Errorf("%s: %d files form one cycle, and no more than %d may: %s", name, len(largest), most, bases(largest))
		}
	}
	between := g.between()
	for _, packages := range slices.Sorted(maps.Keys(between)) {
		t.Logf("%s: %d edges", packages, between[packages])
	}
	for _, floor := range slices.Sorted(maps.Keys(floors)) {
		t.Logf("floor %d: %s", floor, strings.Join(floors[floor], " "))
	}
}

// TestFileGraphSees checks the arithmetic of TestFileGraph on a graph that one can draw.
func TestFileGraphSees(t *testing.T) {
	g := &fileGraph{uses: make(map[string]map[string]bool)}
	for _, edge := range []string{"a b", "b c", "c a", "c d", "d e", "e d", "f a", "g"} {
		names := strings.Fields(edge)
		for _, name := range names {
			if g.uses[name] == nil {
				g.uses[name] = make(map[string]bool)
			}
		}
		if len(names) == 2 {
			g.uses[names[0]][names[1]] = true
		}
	}
	files := slices.Sorted(maps.Keys(g.uses))
	if got, want := fmt.Sprint(g.cycles(files)), "[[d e] [a b c] [f] [g]]"; got != want {
		t.Errorf("cycles %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(g.floors()), "map[1:[d e g] 2:[a b c] 3:[f]]"; got != want {
		t.Errorf("floors %s, want %s", got, want)
	}
	if edges, mutual := g.count(files); edges != 7 || mutual != 1 {
		t.Errorf("%d edges and %d mutual pairs, want 7 and 1", edges, mutual)
	}
	if edges, mutual := g.count([]string{"c", "d"}); edges != 1 || mutual != 0 {
		t.Errorf("between c and d %d edges and %d mutual pairs, want 1 and 0", edges, mutual)
	}
}

func bases(files []string) string {
	var names []string
	for _, file := range files {
		names = append(names, path.Base(file))
	}
	return strings.Join(names, " ")
}

// count returns how many edges there are between some files, and how many pairs of them use each other.
func (g *fileGraph) count(files []string) (edges, mutual int) {
	for _, from := range files {
		for _, to := range files {
			if g.uses[from][to] {
				edges++
				if g.uses[to][from] && from < to {
					mutual++
				}
			}
		}
	}
	return edges, mutual
}

// between returns how many edges there are from the files of one package to those of another, by "from -> to".
func (g *fileGraph) between() map[string]int {
	edges := make(map[string]int)
	for from, uses := range g.uses {
		for to := range uses {
			if path.Dir(from) != path.Dir(to) {
				edges[path.Dir(from)+" -> "+path.Dir(to)]++
			}
		}
	}
	return edges
}

// cycles splits files into the strongly connected components of their graph (Tarjan's algorithm), each sorted. A
// component comes after those that it uses.
func (g *fileGraph) cycles(files []string) (components [][]string) {
	order, low := make(map[string]int), make(map[string]int)
	var open []string
	var visit func(file string)
	visit = func(file string) {
		order[file] = len(order) + 1
		low[file] = order[file]
		open = append(open, file)
		for _, to := range files {
			if !g.uses[file][to] {
				continue
			}
			if order[to] == 0 {
				visit(to)
				low[file] = min(low[file], low[to])
			} else if slices.Contains(open, to) {
				low[file] = min(low[file], order[to])
			}
		}
		if low[file] == order[file] {
			at := slices.Index(open, file)
			component := slices.Sorted(slices.Values(open[at:]))
			open = open[:at]
			components = append(components, component)
		}
	}
	for _, file := range files {
		if order[file] == 0 {
			visit(file)
		}
	}
	return components
}

// floors returns the files of each floor.
func (g *fileGraph) floors() map[int][]string {
	floor := make(map[string]int)
	floors := make(map[int][]string)
	for _, component := range g.cycles(slices.Sorted(maps.Keys(g.uses))) {
		n := 1
		for _, file := range component {
			for to := range g.uses[file] {
				n = max(n, floor[to]+1)
			}
		}
		for _, file := range component {
			floor[file] = n
		}
		floors[n] = append(floors[n], component...)
	}
	return floors
}
