package fdtable_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// TestScripts runs the scripts of testdata/script, each in a bubble of its own. The subtest of a script that
// proves rows of the ledger carries their IDs.
func TestScripts(t *testing.T) {
	scripts := parseScripts(t)
	counts := map[int]int{}
	for _, s := range scripts {
		counts[s.family.version]++
		name := strings.ReplaceAll(strings.Join(append([]string{s.name}, s.rows...), " "), "/", ": ")
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				play(t, s)
			})
		})
	}
	t.Logf("%d scripts over IPv4, %d over IPv6", counts[4], counts[6])
}

// readList reads a file beside the scripts: lines of SCRIPT | CELL, or of more cells, each about another script.
func readList(t *testing.T, name string, scripts []*script) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "script", name))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		cells := strings.Split(line, " | ")
		switch _, twice := all[cells[0]]; {
		case twice:
			t.Errorf("%s: %s twice", name, cells[0])
		case !slices.ContainsFunc(scripts, func(s *script) bool { return s.name == cells[0] || s.plainName() == cells[0] }):
			t.Errorf("%s: there is no %s", name, cells[0])
		case len(cells) < 2:
			t.Errorf("%s: cannot read %q", name, line)
		}
		all[cells[0]] = cells[1:]
	}
	return all
}

// parseScripts returns all scripts, those that name no family twice.
func parseScripts(t *testing.T) (all []*script) {
	t.Helper()
	root := filepath.Join("testdata", "script")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".script") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimSuffix(strings.TrimPrefix(path, root+string(filepath.Separator)), ".script"))
		s, err := parseScript(name, string(text))
		if err != nil {
			t.Error(err)
			return nil
		}
		if all = append(all, s); s.named {
			return nil
		}
		if s, err = parseScriptFor(alike6, name+over6, string(text)); err != nil {
			t.Error(err)
			return nil
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// play runs a script. One that fails leaves a capture.
func play(t *testing.T, s *script) {
	pcap, err := runScript(s)
	if err == nil {
		return
	}
	// Not in t.ArtifactDir, which a test without -artifacts takes away at its end.
	path := filepath.Join(os.TempDir(), "unet-"+strings.NewReplacer("/", "-", " ", "-").Replace(s.name)+".pcapng")
	if werr := os.WriteFile(path, pcap, 0o644); werr != nil {
		t.Error(werr)
	}
	t.Fatalf("%v\nframes: %s", err, path)
}
