package fdtable_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// script is one file of testdata/script, whose README.md is the grammar.
type script struct {
	name   string
	rows   []string // IDs of the ledger
	config []string // NAME=VALUE
	family *family  // of the family line
	named  bool     // there is such a line; otherwise the script is for both families
	lines  []statement
}

// statement is one line that acts or checks.
type statement struct {
	number int           // of the line, from 1
	text   string        // without time and comment
	after  time.Duration // since the statement before
	verb   string        // "<", "<+", ">", "call", "done", or a word of verbs
	flow   string
	args   []string
	// of a call
	result string
	blocks bool
	// of a segment
	times int
}

// verbs are the first words of statements that are neither calls nor segments.
var verbs = []string{"none", "flow", "arp", "icmp", "info", "stats"}

var (
	timePattern = regexp.MustCompile(`^\+(\d+(\.\d{1,6})?)(\s+|$)`)
	callPattern = regexp.MustCompile(`^([a-z0-9_]+)\((.*?)\)\s*(\.\.\.|=\s*(.+))$`)
	flowPattern = regexp.MustCompile(`^([a-z][a-z0-9]*):$`)
	timesSuffix = regexp.MustCompile(`^x(\d+)$`)
	rowPattern  = regexp.MustCompile(`^[A-Z][A-Z0-9]*(-[A-Z0-9]+)+$`)
)

// parseScript reads the text of a script, one that names no family as for IPv4. Its errors name the line.
func parseScript(name, text string) (*script, error) {
	return parseScriptFor(families["4"], name, text)
}

// parseScriptFor reads the text of a script that names no family as for one.
func parseScriptFor(f *family, name, text string) (*script, error) {
	s := &script{name: name, family: f}
	commented := false
	for i, line := range strings.Split(text, "\n") {
		code, comment := cutComment(line)
		commented = commented || comment != "" && len(s.lines) == 0
		if code == "" {
			continue
		}
		if f == alike6 {
			code = translate(code)
		}
		if err := s.add(i+1, code); err != nil {
			return nil, fmt.Errorf("%s:%d: %v", name, i+1, err)
		}
	}
	switch {
	case !commented:
		return nil, fmt.Errorf("%s: no comment says what it shows", name)
	case len(s.lines) == 0:
		return nil, fmt.Errorf("%s: no statement", name)
	}
	return s, nil
}

// plainName is the script's name without its family.
func (s *script) plainName() string { return strings.TrimSuffix(s.name, over6) }

// cutComment splits a line at a # that stands at its beginning or after a blank.
func cutComment(line string) (code, comment string) {
	for i := range line {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ') {
			return strings.TrimSpace(line[:i]), line[i:]
		}
	}
	return strings.TrimSpace(line), ""
}

func (s *script) add(number int, code string) error {
	word, rest, _ := strings.Cut(code, " ")
	switch word {
	case "rows":
		for _, id := range strings.Fields(rest) {
			if !rowPattern.MatchString(id) {
				return fmt.Errorf("%q is no ID of a row", id)
			}
			s.rows = append(s.rows, id)
		}
		return nil
	case "family":
		switch f := families[rest]; {
		case f == nil:
			return fmt.Errorf("family is 4 or 6")
		case len(s.lines) > 0:
			return fmt.Errorf("family must come first")
		default:
			s.family, s.named = f, true
		}
		return nil
	case "config":
		if len(s.lines) > 0 {
			return fmt.Errorf("config must come first")
		}
		s.config = append(s.config, strings.Fields(rest)...)
		return nil
	}
	if lines, known := opening(word, strings.Fields(rest), s.family.mss); known {
		for _, line := range lines {
			if err := s.add(number, line); err != nil {
				return err
			}
		}
		return nil
	}
	st := statement{number: number, times: 1, flow: "a"}
	if m := timePattern.FindStringSubmatch(code); m != nil {
		seconds, err := time.ParseDuration(m[1] + "s")
		if err != nil {
			return err
		}
		st.after = seconds
		code = code[len(m[0]):]
	}
	st.text = code
	if err := st.parse(code); err != nil {
		return err
	}
	s.lines = append(s.lines, st)
	return nil
}

// opening returns the lines that established and connected are short for: a handshake that takes 100 ms, with options of
// the peer that the host accepts. A win option is the window of the peer's last segment.
func opening(word string, options []string, mss int) (lines []string, known bool) {
	var offer, agreed, window, stamp, echo string
	own := fmt.Sprintf(" mss=%d", mss)
	peers := own
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "win":
			window = " " + o
			continue
		case "mss":
			peers = ""
		case "ts":
			stamp, echo = " "+o, " ts=100/"+value
			agreed += " ts=0/" + value
		case "ws":
			agreed += " ws=7"
		case "sackok":
			agreed += " sackok"
		}
		offer += " " + o
	}
	switch word {
	case "established":
		return []string{"socket() = 0", "bind(0, host:80) = 0", "listen(0, 8) = 0", "< S" + peers + offer,
			"> SA seq=0 ack=1 win=65535" + own + agreed, "+0.1 < A" + window + stamp, "accept(0) = 1"}, true
	case "connected":
		return []string{"socket() = 0", "connect(0, a) ...", "> S seq=0 win=65535" + own + " sackok ts=0/0 ws=7",
			"+0.1 < SA" + peers + offer + window, "> A seq=1 ack=1 win=*" + echo, "... connect(0) = 0"}, true
	}
	return nil, false
}

func (st *statement) parse(code string) error {
	words := strings.Fields(code)
	switch {
	case len(words) == 0:
		return fmt.Errorf("a time and nothing else")
	case words[0] == "<", words[0] == "<+", words[0] == ">":
		return st.parseSegment(words)
	case words[0] == "...":
		if err := st.parseCall(strings.TrimSpace(code[3:])); err != nil {
			return err
		}
		st.verb = "done"
		if st.blocks {
			return fmt.Errorf("no result")
		}
		return nil
	case callPattern.MatchString(code) && words[0] != "info":
		return st.parseCall(code)
	}
	for _, v := range verbs {
		if words[0] == v {
			st.verb, st.args = v, words[1:]
			return nil
		}
	}
	return fmt.Errorf("cannot read %q", code)
}

func (st *statement) parseSegment(words []string) error {
	st.verb = words[0]
	words = words[1:]
	if len(words) > 0 {
		if m := flowPattern.FindStringSubmatch(words[0]); m != nil {
			st.flow = m[1]
			words = words[1:]
		}
	}
	if len(words) == 0 {
		return fmt.Errorf("a segment without flags")
	}
	if m := timesSuffix.FindStringSubmatch(words[len(words)-1]); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 {
			return fmt.Errorf("%s times", m[1])
		}
		st.times = n
		words = words[:len(words)-1]
	}
	st.args = words
	return nil
}

// parseCall reads NAME(ARGS) = RESULT, or NAME(ARGS) ... for a call that blocks.
func (st *statement) parseCall(code string) error {
	m := callPattern.FindStringSubmatch(code)
	if m == nil {
		return fmt.Errorf("cannot read the call %q", code)
	}
	st.verb, st.args = "call", []string{m[1]}
	for arg := range strings.SplitSeq(m[2], ",") {
		if arg = strings.TrimSpace(arg); arg != "" {
			st.args = append(st.args, arg)
		}
	}
	if _, known := calls[m[1]]; !known {
		return fmt.Errorf("no call is named %s", m[1])
	}
	st.result, st.blocks = m[4], m[3] == "..."
	return nil
}

// fields splits NAME=VALUE words; a word without = has the value "".
func fields(words []string, known string) (map[string]string, error) {
	values := make(map[string]string, len(words))
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		if !strings.Contains(" "+known+" ", " "+name+" ") {
			return nil, fmt.Errorf("nothing is named %q here", name)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("%s twice", name)
		}
		values[name] = value
	}
	return values, nil
}
