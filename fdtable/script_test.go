package fdtable_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

// TestScripts runs the scripts of testdata/script, each in a bubble of its own. The subtest of a script that
// proves rows of the ledger carries their IDs.
func TestScripts(t *testing.T) {
	for _, s := range parseScripts(t) {
		name := strings.ReplaceAll(strings.Join(append([]string{s.name}, s.rows...), " "), "/", ": ")
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, s) })
		})
	}
}

// parseScripts returns all scripts.
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
		if s, err := parseScript(name, string(text)); err != nil {
			t.Error(err)
		} else {
			all = append(all, s)
		}
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
	path := filepath.Join(os.TempDir(), "unet-"+strings.ReplaceAll(s.name, "/", "-")+".pcapng")
	if werr := os.WriteFile(path, pcap, 0o644); werr != nil {
		t.Error(werr)
	}
	t.Fatalf("%v\nframes: %s", err, path)
}
