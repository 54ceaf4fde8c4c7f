package fdtable_test

import (
	"strings"
	"testing"
	"testing/synctest"
)

const listening = `# A listener.
socket() = 0
bind(0, host:80) = 0
listen(0, 8) = 0
`

const accepted = listening + `
< S mss=1460
> SA win=65535 mss=1460
< A
accept(0) = 1
`

// TestScriptFails checks that scripts fail if the host does something else, and the text of their errors.
func TestScriptFails(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"another segment", listening + `
+0.1 < S mss=1460
> SA seq=0 ack=1 win=65535 mss=1220
`, `x:7: not as expected
  expected                                     | seen
  0.000000 socket() = 0                        |
  0.000000 bind(0, host:80) = 0                |
  0.000000 listen(0, 8) = 0                    |
  0.100000 < S mss=1460                        |
! 0.100000 > SA seq=0 ack=1 win=65535 mss=1220 | 0.100000 > SA seq=0 ack=1 win=65535 mss=1460`},
		{"a microsecond late", listening + `
< S
> SA win=65535 mss=1460
+1.000001 > SA seq=0 mss=1460
`, `x:8: not as expected
  expected                                     | seen
  0.000000 socket() = 0                        |
  0.000000 bind(0, host:80) = 0                |
  0.000000 listen(0, 8) = 0                    |
  0.000000 < S                                 |
  0.000000 > SA seq=0 ack=1 win=65535 mss=1460 | 0.000000 > SA seq=0 ack=1 win=65535 mss=1460
! 1.000001 > SA seq=0 ack=1 win=65535 mss=1460 | 1.000000 > SA seq=0 ack=1 win=65535 mss=1460`},
		{"a microsecond early", listening + `
< S
> SA win=65535 mss=1460
+0.999999 > SA seq=0 mss=1460
`, `x:8: not as expected
  expected                                     | seen
  0.000000 socket() = 0                        |
  0.000000 bind(0, host:80) = 0                |
  0.000000 listen(0, 8) = 0                    |
  0.000000 < S                                 |
  0.000000 > SA seq=0 ack=1 win=65535 mss=1460 | 0.000000 > SA seq=0 ack=1 win=65535 mss=1460
! 0.999999 > SA seq=0 ack=1 win=65535 mss=1460 | 1.000000 > SA seq=0 ack=1 win=65535 mss=1460`},
		{"a segment too many", accepted + `
close(0) = 0
write(1, 10) = 10
< A
`, `x:13: not as expected
  expected                                     | seen
  0.000000 bind(0, host:80) = 0                |
  0.000000 listen(0, 8) = 0                    |
  0.000000 < S mss=1460                        |
  0.000000 > SA seq=0 ack=1 win=65535 mss=1460 | 0.000000 > SA seq=0 ack=1 win=65535 mss=1460
  0.000000 < A                                 |
  0.000000 accept(0) = 1                       |
  0.000000 close(0) = 0                        |
  0.000000 write(1, 10) = 10                   |
! 0.000000 < A                                 | 0.000000 > PA seq=1 ack=1 win=65535 len=10`},
		{"a segment at the end", accepted + `
< PA len=1
> A win=65534
close(1) = 0
`, `x: at the end: not as expected
  expected                                     | seen
  0.000000 listen(0, 8) = 0                    |
  0.000000 < S mss=1460                        |
  0.000000 > SA seq=0 ack=1 win=65535 mss=1460 | 0.000000 > SA seq=0 ack=1 win=65535 mss=1460
  0.000000 < A                                 |
  0.000000 accept(0) = 1                       |
  0.000000 < PA len=1                          |
  0.000000 > A seq=1 ack=2 win=65534           | 0.000000 > A seq=1 ack=2 win=65534
  0.000000 close(1) = 0                        |
! 0.000000 (nothing)                           | 0.000000 > RA seq=1 ack=2 win=0`},
		{"a segment of none", "# \nnone 1\n< S\nnone 1\n", `x:4: not as expected
  expected        | seen
  1.000000 none 1 |
  1.000000 < S    |
! 1.000000 none 1 | 1.000000 > RA seq=0 ack=1 win=0`},
		{"no segment", accepted + `
+1 > A
`, `x:11: not as expected
  expected                                     | seen
  0.000000 socket() = 0                        |
  0.000000 bind(0, host:80) = 0                |
  0.000000 listen(0, 8) = 0                    |
  0.000000 < S mss=1460                        |
  0.000000 > SA seq=0 ack=1 win=65535 mss=1460 | 0.000000 > SA seq=0 ack=1 win=65535 mss=1460
  0.000000 < A                                 |
  0.000000 accept(0) = 1                       |
! 1.000000 > A seq=1 ack=1 win=65535           | nothing`},
		{"another result", "# \nsocket() = 1\n", `x:2: not as expected
  expected              | seen
! 0.000000 socket() = 1 | 0.000000 socket() = 0`},
		{"a call waits", listening + "accept(0) = 1\n", `x:5: not as expected
  expected                      | seen
  0.000000 socket() = 0         |
  0.000000 bind(0, host:80) = 0 |
  0.000000 listen(0, 8) = 0     |
! 0.000000 accept(0) = 1        | 0.000000 accept(0) waits`},
		{"a call does not wait", "# \nsocket(nonblock) = 0\naccept(0) ...\n", `x:3: not as expected
  expected                      | seen
  0.000000 socket(nonblock) = 0 |
! 0.000000 accept(0) ...        | 0.000000 accept(0) = EINVAL`},
		{"a call returns later", listening + "accept(0) ...\n... accept(0) = 1\n", `x:6: not as expected
  expected                      | seen
  0.000000 socket() = 0         |
  0.000000 bind(0, host:80) = 0 |
  0.000000 listen(0, 8) = 0     |
  0.000000 accept(0) ...        |
! 0.000000 ... accept(0) = 1    | 0.000000 accept(0) waits`},
		{"a call never returns", listening + "accept(0) ...\n", "x: at the end: accept(0) still waits"},
		{"another state", listening + "info 0 State=CLOSED\n", `x:5: not as expected
  expected                      | seen
  0.000000 socket() = 0         |
  0.000000 bind(0, host:80) = 0 |
  0.000000 listen(0, 8) = 0     |
! 0.000000 info 0 State=CLOSED  | 0.000000 info 0 State=LISTEN`},
		{"another count", "# \nstats TCP.ResetsOut=1\n", `x:2: not as expected
  expected                       | seen
! 0.000000 stats TCP.ResetsOut=1 | 0.000000 stats TCP.ResetsOut=0`},
		{"other text", accepted + "< PA text=\"ab\"\n> A win=65533\nread(1, 9) = 2\n", `x:12: not as expected
  expected                                     | seen
  0.000000 bind(0, host:80) = 0                |
  0.000000 listen(0, 8) = 0                    |
  0.000000 < S mss=1460                        |
  0.000000 > SA seq=0 ack=1 win=65535 mss=1460 | 0.000000 > SA seq=0 ack=1 win=65535 mss=1460
  0.000000 < A                                 |
  0.000000 accept(0) = 1                       |
  0.000000 < PA text="ab"                      |
  0.000000 > A seq=1 ack=3 win=65533           | 0.000000 > A seq=1 ack=3 win=65533
! 0.000000 read(1, 9) = 2                      | 0.000000 read(1, 9) = 2 octets that are not those from 0 on`},
		{"a wrong argument", "# \nlisten(zero, 8) = 0\n", `x:2: "zero" is neither a number nor a constant`},
		{"a missing argument", "# \nlisten(0) = 0\n", `x:2: argument 2 is missing`},
		{"no window", "# \n> A\n", `x:2: the first segment of a flow must tell win`},
		{"no field", listening + "info 0 Stat=CLOSED\n", `x:5: there is no Stat`},
		{"no config", "# \nconfig Nothing=1\nnone 1\n", `x: config Nothing=1: there is no Nothing`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseScript("x", c.script)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				pcap, err := runScript(s)
				if err == nil {
					t.Fatal("the script passed")
				}
				var lines []string
				for line := range strings.SplitSeq(err.Error(), "\n") {
					lines = append(lines, strings.TrimRight(line, " "))
				}
				if got := strings.Join(lines, "\n"); got != c.want {
					t.Errorf("the script says\n%s\nwant\n%s", got, c.want)
				}
				if len(pcap) == 0 && !strings.Contains(c.name, "config") {
					t.Error("there is no capture")
				}
			})
		})
	}
}

// TestScriptSyntax checks the errors about scripts that cannot be read.
func TestScriptSyntax(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"none 1\n", "x: no comment says what it shows"},
		{"# \n", "x: no statement"},
		{"# \nnone 1\nconfig mtu=1\n", "x:3: config must come first"},
		{"# \nfamily 5\nnone 1\n", "x:2: family is 4 or 6"},
		{"# \nfamily\nnone 1\n", "x:2: family is 4 or 6"},
		{"# \nnone 1\nfamily 6\n", "x:3: family must come first"},
		{"# \nrows must\n", `x:2: "must" is no ID of a row`},
		{"# \n+0.0000001 none 1\n", `x:2: cannot read "+0.0000001 none 1"`},
		{"# \n+1\n", "x:2: a time and nothing else"},
		{"# \ndance(0) = 0\n", "x:2: no call is named dance"},
		{"# \n... accept(0) ...\n", "x:2: no result"},
		{"# \n<\n", "x:2: a segment without flags"},
		{"# \n< A x0\n", "x:2: 0 times"},
		{"# \nsocket()\n", `x:2: cannot read "socket()"`},
	} {
		if _, err := parseScript("x", c.script); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.script, err, c.want)
		}
	}
}
