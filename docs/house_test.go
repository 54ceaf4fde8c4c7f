package docs_test

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// walk calls visit for each file of the repository, those of other modules too, as a path from the top.
func walk(t *testing.T, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return filepath.SkipDir
		case !entry.IsDir():
			visit(strings.TrimPrefix(filepath.ToSlash(file), "../"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSizes holds the code, tests aside, to the bounds of CONTRIBUTING.md: what fits on a few screens is read.
func TestSizes(t *testing.T) {
	const mostLines, mostOfFunction = 400, 60
	walk(t, func(file string) {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, filepath.Join("..", file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		if n := set.File(f.Pos()).LineCount() - 1; n > mostLines {
			t.Errorf("%s has %d lines, more than %d", file, n, mostLines)
		}
		for _, decl := range f.Decls {
			if decl, ok := decl.(*ast.FuncDecl); ok {
				if n := set.Position(decl.End()).Line - set.Position(decl.Pos()).Line + 1; n > mostOfFunction {
					t.Errorf("%s: %s has %d lines, more than %d", file, decl.Name.Name, n, mostOfFunction)
				}
			}
		}
	})
}

// link matches a link of a page to a file; named matches a file that a page names in the text.
var (
	link  = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	named = regexp.MustCompile("`((?:[a-z0-9_.-]+/)+[A-Za-z0-9_-]+\\.(?:go|md|svg|json|script))`")
)

// TestPages checks that the files which the pages link to, or name, are there.
func TestPages(t *testing.T) {
	walk(t, func(file string) {
		if !strings.HasSuffix(file, ".md") {
			return
		}
		for i, line := range lines(t, filepath.Join("..", file)) {
			missing := func(target string, folders ...string) {
				if !slices.ContainsFunc(folders, func(folder string) bool {
					_, err := os.Stat(filepath.Join("..", folder, target))
					return err == nil
				}) {
					t.Errorf("%s:%d: there is no %s", file, i+1, target)
				}
			}
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				missing(m[1], filepath.Dir(file))
			}
			for _, m := range named.FindAllStringSubmatch(line, -1) {
				missing(m[1], filepath.Dir(file), "")
			}
		}
	})
}

// TestChangelog holds CHANGELOG.md to its form, and unet.Version to its topmost section.
func TestChangelog(t *testing.T) {
	p, err := needLibrary(t).importer.Import(modulePath + "/unet")
	if err != nil {
		t.Fatal(err)
	}
	version, ok := p.Scope().Lookup("Version").(*types.Const)
	if !ok {
		t.Fatal("package unet has no constant Version")
	}
	for _, err := range checkChangelog(strings.Join(lines(t, "../CHANGELOG.md"), "\n"), constant.StringVal(version.Val())) {
		t.Error(err)
	}
}

var (
	release = regexp.MustCompile(`(?m)^## \[([0-9]+\.[0-9]+\.[0-9]+)\] - (Unreleased|[0-9]{4}-[0-9]{2}-[0-9]{2})$`)
	heading = regexp.MustCompile(`(?m)^##.*$`)
	kinds   = []string{"### Added", "### Changed", "### Deprecated", "### Removed", "### Fixed", "### Security"}
)

// checkChangelog says where the text of CHANGELOG.md departs from its form, and from the version that the code has.
func checkChangelog(text, version string) (errs []error) {
	report := func(format string, args ...any) { errs = append(errs, fmt.Errorf("CHANGELOG.md: "+format, args...)) }
	releases := release.FindAllStringSubmatch(text, -1)
	if len(releases) == 0 {
		report("no section [X.Y.Z] - DATE")
		return errs
	}
	want := releases[0][1]
	if releases[0][2] == "Unreleased" {
		want += "-dev"
	}
	if version != want {
		report("the topmost section says that unet.Version is %q, and it is %q", want, version)
	}
	for _, r := range releases[1:] {
		if r[2] == "Unreleased" {
			report("%s is not the topmost section, and not released", r[1])
		}
	}
	for _, h := range heading.FindAllString(text, -1) {
		if !release.MatchString(h) && !slices.Contains(kinds, h) {
			report("%q is no heading of Keep a Changelog", h)
		}
	}
	said := make(map[string]bool)
	for _, entry := range strings.Split(text, "\n- ")[1:] {
		entry, _, _ = strings.Cut(strings.TrimSpace(entry), "\n\n")
		if said[entry] {
			report("%q stands there twice, as a merge leaves it", entry)
		}
		said[entry] = true
	}
	return errs
}

// TestChangelogBreaks checks that TestChangelog would see what is wrong.
func TestChangelogBreaks(t *testing.T) {
	const good = "# Changelog\n\n## [0.2.0] - Unreleased\n\n### Added\n\n- A.\n- B.\n\n## [0.1.0] - 2027-01-31\n\n### Fixed\n\n- C.\n"
	for _, c := range []struct{ old, new, version, want string }{
		{"", "", "0.2.0-dev", "[]"},
		{"", "", "0.2.0", `"0.2.0-dev", and it is "0.2.0"`},
		{"0.2.0] - Unreleased", "0.2.0] - 2027-02-28", "0.2.0-dev", `"0.2.0", and it is "0.2.0-dev"`},
		{"2027-01-31", "Unreleased", "0.2.0-dev", "0.1.0 is not the topmost section"},
		{"### Fixed", "### Improved", "0.2.0-dev", `"### Improved" is no heading`},
		{"- C.", "- B.", "0.2.0-dev", `"B." stands there twice`},
		{"## [", "## ", "0.2.0-dev", "no section"},
	} {
		text := good
		if c.old != "" {
			text = strings.ReplaceAll(good, c.old, c.new)
		}
		if got := fmt.Sprint(checkChangelog(text, c.version)); !strings.Contains(got, c.want) {
			t.Errorf("%q for %q: %s, want %s", c.new, c.old, got, c.want)
		}
	}
}

// TestWalk checks that the functions and types which the tables of ARCHITECTURE.md's walks name in their first column
// stand in the files of their last one.
func TestWalk(t *testing.T) {
	rows := 0
	inside := false
	for i, line := range lines(t, "../ARCHITECTURE.md") {
		if strings.HasPrefix(line, "## ") {
			inside = line == "## The walk of a segment" || line == "## Three changes, walked"
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if files := quotes(cells[len(cells)-1]); inside && strings.HasPrefix(line, "|") && len(files) > 0 {
			rows++
			for _, err := range checkWords(quotes(cells[0]), files) {
				t.Errorf("ARCHITECTURE.md:%d: %v", i+1, err)
			}
		}
	}
	if rows < 40 {
		t.Errorf("ARCHITECTURE.md's walks have %d rows with files", rows)
	}
	if got := fmt.Sprint(checkWords([]string{"Conn.Nowhere", "SegmentArrives"}, []string{"stack/tcp/arrives.go"})); got !=
		"[none of [stack/tcp/arrives.go] has Conn.Nowhere]" {
		t.Errorf("the check of words says %s", got)
	}
}

// checkWords says which names stand in none of some files, as whole words. Of Type.Method it looks for Method.
func checkWords(names, files []string) (errs []error) {
	var text strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			return []error{err}
		}
		text.Write(b)
	}
	for _, name := range names {
		word := regexp.MustCompile(`\b` + regexp.QuoteMeta(name[strings.LastIndexByte(name, '.')+1:]) + `\b`)
		if !word.MatchString(text.String()) {
			errs = append(errs, fmt.Errorf("none of %v has %s", files, name))
		}
	}
	return errs
}
