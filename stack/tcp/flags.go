package tcp

import "strings"

// Flags are the control bits of a segment, as they stand in the header (RFC 9293 3.1, RFC 9768 for AE).
type Flags uint16

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// flagLetters are the control bits as packet traces show them.
var flagLetters = [...]string{"F", "S", "R", "P", "A", "U", "E", "C", "e"}

// String returns the flags as letters, "SA" for SYN and ACK.
func (f Flags) String() string {
	var b strings.Builder
	for i, letter := range flagLetters {
		if f&(1<<i) != 0 {
			b.WriteString(letter)
		}
	}
	return b.String()
}
