// Package docs_test holds the map of compliance to what it says of the code.
package docs_test

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rowID matches the ID of a row. Test names may have underscores for its hyphens.
var rowID = regexp.MustCompile(`(?:^|[^A-Za-z0-9])((?:(?:MUST|SHLD|MAY|REC)|A[-_]SM|[B-F][-_][A-Z0-9]+)[-_][0-9]+)(?:[^A-Za-z0-9]|$)`)

var (
	// requirement matches the sentence of a row and its source; source matches one of several sources.
	requirement = regexp.MustCompile(`^(\S.*\S) \(([^()]+)\)$`)
	source      = regexp.MustCompile(`^(RFC [1-9][0-9]{2,3}( [1-9][0-9.]*(, [1-9][0-9.]*)*)?|CVE-[0-9]{4}-[0-9]+|IEEE 802\.1Q|POSIX|Linux|package net|unet)$`)

	deviationID = regexp.MustCompile(`^Z-[0-9]+$`)
	quoted      = regexp.MustCompile("`([^`]+)`")
)

// ids returns the row IDs in a text.
func ids(text string) []string {
	var found []string
	for {
		at := rowID.FindStringSubmatchIndex(text)
		if at == nil {
			return found
		}
		found = append(found, strings.ReplaceAll(text[at[2]:at[3]], "_", "-"))
		text = text[at[3]:]
	}
}

// mapped is a row of the map.
type mapped struct {
	line       int
	id         string
	requires   string   // one line, with its source in brackets at the end
	held       []string // functions or types, as package.(*Type).Method
	tests      []string // as package TestName/subtest
	deviations []string // Z-IDs, or the row's own where it is listed under that
}

// readMap reads the tables of the map.
func readMap(t *testing.T) []mapped {
	t.Helper()
	var rows []mapped
	for i, line := range lines(t, "compliance-map.md") {
		cells := strings.Split(line, " | ")
		first := strings.TrimPrefix(cells[0], "| ")
		if len(ids(first)) == 0 || !strings.HasPrefix(line, "| ") {
			continue
		}
		if len(cells) != 5 {
			t.Errorf("compliance-map.md:%d: %d cells, want 5", i+1, len(cells))
			continue
		}
		row := mapped{line: i + 1, id: first, requires: cells[1], held: quotes(cells[2]), tests: quotes(cells[3])}
		if last := strings.TrimSpace(strings.TrimSuffix(cells[4], "|")); last != "" {
			row.deviations = strings.Split(last, ", ")
		}
		rows = append(rows, row)
	}
	return rows
}

func quotes(cell string) []string {
	var all []string
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// readDeviations returns the IDs in the first column of the table of deviations, each with the rows that its first two
// cells name.
func readDeviations(t *testing.T) map[string][]string {
	t.Helper()
	listed := make(map[string][]string)
	inside := false
	for _, line := range lines(t, "compliance.md") {
		if strings.HasPrefix(line, "## ") {
			inside = line == "## Deviations"
		}
		cells := strings.Split(line, " | ")
		first := strings.TrimPrefix(cells[0], "| ")
		switch {
		case !inside || len(cells) == 1:
		case deviationID.MatchString(first):
			listed[first] = ids(cells[1])
		default: // a row's own ID, or several, where no Z-ID is given
			for _, id := range ids(first) {
				listed[id] = append(ids(cells[1]), id)
			}
		}
	}
	return listed
}

// TestMap holds compliance-map.md to the sources: what it names is there, and it names all that tests name.
func TestMap(t *testing.T) {
	rows, m := readMap(t), readModule(t)
	byID := make(map[string]mapped)
	for _, row := range rows {
		if before, ok := byID[row.id]; ok {
			t.Errorf("compliance-map.md:%d: %s stands in line %d already", row.line, row.id, before.line)
		}
		byID[row.id] = row
	}
	t.Run("requirements are written out", func(t *testing.T) {
		for _, err := range checkRequirements(rows) {
			t.Error(err)
		}
	})
	t.Run("functions are there", func(t *testing.T) {
		for _, row := range rows {
			if len(row.held) == 0 {
				t.Errorf("compliance-map.md:%d: %s: no function", row.line, row.id)
			}
			for _, name := range row.held {
				if !m.declared[name] {
					t.Errorf("compliance-map.md:%d: %s: there is no %s", row.line, row.id, name)
				}
			}
		}
	})
	t.Run("tests are there and carry the ID", func(t *testing.T) {
		for _, row := range rows {
			if len(row.tests) == 0 && len(row.deviations) == 0 {
				t.Errorf("compliance-map.md:%d: %s: no test", row.line, row.id)
			}
			for _, test := range row.tests {
				if err := m.check(row.id, test); err != nil {
					t.Errorf("compliance-map.md:%d: %s: %v", row.line, row.id, err)
				}
			}
		}
	})
	t.Run("deviations stand in their table", func(t *testing.T) { checkDeviations(t, rows, byID) })
	t.Run("every ID of a test is listed", func(t *testing.T) {
		for id, where := range m.named() {
			if _, ok := byID[id]; !ok {
				t.Errorf("%s, which %s carries, has no row in compliance-map.md", id, where)
			}
		}
	})
}

// checkRequirements says which rows do not tell in a sentence of their own what they require, and who requires it.
func checkRequirements(rows []mapped) (errs []error) {
	const longest = 200
	said := make(map[string]mapped)
	for _, row := range rows {
		report := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("compliance-map.md:%d: %s: %s", row.line, row.id, fmt.Sprintf(format, args...)))
		}
		parts := requirement.FindStringSubmatch(row.requires)
		if parts == nil {
			report("%q is no sentence with its source in brackets", row.requires)
			continue
		}
		if n := len(row.requires); n > longest {
			report("the requirement has %d octets, more than %d", n, longest)
		}
		for _, part := range strings.Split(parts[2], "; ") {
			if !source.MatchString(part) {
				report("%q is no source", part)
			}
		}
		if before, ok := said[parts[1]]; ok {
			report("requires what %s in line %d does", before.id, before.line)
		}
		said[parts[1]] = row
	}
	return errs
}

// TestRequirementsBreak checks that TestMap would see a requirement that is missing, has no source, is too long or stands
// there twice.
func TestRequirementsBreak(t *testing.T) {
	for _, c := range []struct{ requires, want string }{
		{"Text is delivered in order (RFC 9293 3.8; POSIX)", ""},
		{"", "is no sentence"},
		{"Text is delivered once", "is no sentence"},
		{"Text is delivered once (folklore)", "is no source"},
		{"Text is delivered once (RFC 9293 somewhere)", "is no source"},
		{strings.Repeat("Text ", 40) + "(POSIX)", "more than 200"},
		{"Text is delivered whole (Linux)", "requires what MUST-1 in line 1 does"},
	} {
		rows := []mapped{{line: 1, id: "MUST-1", requires: "Text is delivered whole (POSIX)"}, {line: 2, id: "MUST-2", requires: c.requires}}
		errs := fmt.Sprint(checkRequirements(rows))
		if c.want == "" && errs != "[]" || !strings.Contains(errs, c.want) {
			t.Errorf("%q: %s, want %q", c.requires, errs, c.want)
		}
	}
}

func checkDeviations(t *testing.T, rows []mapped, byID map[string]mapped) {
	t.Helper()
	listed := readDeviations(t)
	used := make(map[string]bool)
	for _, row := range rows {
		for _, id := range row.deviations {
			used[id] = true
			if _, ok := listed[id]; !ok {
				t.Errorf("compliance-map.md:%d: %s: there is no deviation %s in compliance.md", row.line, row.id, id)
			}
		}
	}
	for id, named := range listed {
		if !used[id] {
			t.Errorf("compliance.md: no row of the map has the deviation %s", id)
		}
		for _, row := range named {
			if have, ok := byID[row]; ok && !slices.Contains(have.deviations, id) {
				t.Errorf("compliance-map.md:%d: %s does not say that it is the deviation %s", have.line, row, id)
			}
		}
	}
}

// check says what is wrong with a test that a row names.
func (m *module) check(row, test string) error {
	folder, name, _ := strings.Cut(test, " ")
	top, sub, _ := strings.Cut(name, "/")
	p := m.tests[folder]
	if p == nil || p.refers[top] == nil {
		return fmt.Errorf("%s has no test %s", folder, top)
	}
	if script, ok := strings.CutPrefix(name, "TestScripts/"); ok && folder == "fdtable" {
		found, ok := m.scripts[script]
		if !ok {
			return fmt.Errorf("there is no script %s", script)
		}
		if !slices.Contains(found, row) {
			return fmt.Errorf("%s does not name the row", path.Join(scriptFolder, script))
		}
		return nil
	}
	if !slices.Contains(ids(sub), row) {
		return fmt.Errorf("%q does not carry the row's ID", sub)
	}
	if !slices.ContainsFunc(p.reach(top), func(have string) bool { return strings.TrimSpace(have) == sub }) {
		return fmt.Errorf("%s.%s has no subtest of the name %q", folder, top, sub)
	}
	return nil
}

// named returns the IDs that tests carry, each with a place where one does.
func (m *module) named() map[string]string {
	where := make(map[string]string)
	for folder, p := range m.tests {
		for decl, names := range p.names {
			for _, name := range names {
				for _, id := range ids(name) {
					where[id] = folder + "." + decl
				}
			}
		}
	}
	for script, named := range m.scripts {
		for _, id := range named {
			where[id] = path.Join(scriptFolder, script)
		}
	}
	return where
}
