// Package lantest compares the output of an example with the output in its README.
package lantest

import (
	"flag"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
)

var update = flag.Bool("update", false, "write what the examples print into their README.md")

// Check runs an example in fake time and compares its lines with the block of text in README.md, except for
// random numbers: initial sequence numbers, timestamps and ephemeral ports.
func Check(t *testing.T, run func(io.Writer) error) {
	t.Helper()
	var out strings.Builder
	synctest.Test(t, func(t *testing.T) {
		if err := run(&out); err != nil {
			t.Error(err)
		}
	})
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	const open, end = "```text\n", "```\n"
	before, rest, found := strings.Cut(string(page), open)
	want, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("README.md has no block of text; the example printed\n%s", &out)
	}
	if chanceless(out.String()) == chanceless(want) {
		return
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(before+open+out.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the example printed\n%s\nREADME.md says\n%s", &out, want)
}

var chances = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`(seq|ack) \d{6,}`), "$1 N"},
	{regexp.MustCompile(`TS val \d+`), "TS val T"},
	{regexp.MustCompile(`ecr [1-9]\d*`), "ecr T"},
	{regexp.MustCompile(`(\d+\.\d+\.\d+\.\d+)([.:])\d{5}\b`), "$1${2}P"},
}

// chanceless returns text without its random numbers.
func chanceless(text string) string {
	for _, c := range chances {
		text = c.pattern.ReplaceAllString(text, c.replacement)
	}
	return text
}
