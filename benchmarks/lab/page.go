package main

import (
	"fmt"
	"strings"
	"time"
)

// column is one kind of flow in the tables.
type column struct {
	name    string
	linux   bool
	control string
	reorder float64
}

var columns = []column{
	{"CUBIC", false, "cubic", 0},
	{"Linux CUBIC", true, "cubic", 0},
	{"NewReno", false, "reno", 0},
	{"Linux Reno", true, "reno", 0},
	{"CUBIC, reordered", false, "cubic", reorders[1]},
	{"Linux CUBIC, reordered", true, "cubic", reorders[1]},
	{"NewReno, reordered", false, "reno", reorders[1]},
	{"Linux Reno, reordered", true, "reno", reorders[1]},
}

// figure returns the column's figure at a rate, RTT and loss, nil where there is none.
func (k *column) figure(unet, linux *Results, rate int64, rtt time.Duration, loss float64) *Figure {
	r := unet
	if k.linux {
		r = linux
	}
	return r.find(Cell{Rate: rate, RTT: rtt, Loss: loss, Reorder: k.reorder, Control: k.control})
}

// page writes docs/lab.md.
func page(unet, linux *Results) string {
	var s strings.Builder
	fmt.Fprintf(&s, `# The lab

The rate that one TCP flow reaches on a path, in Mbit/s of the application's octets. %[1]smake lab%[1]s writes this page and its
plot: the same code gives the same bytes, whatever else the machine does.

- The path is one of %[1]sstack/sim%[1]s. It has a link of the given speed in each direction, whose queue holds as much as the path
  itself (at least 100 frames), half of the RTT in each direction, and in each direction the loss of the row. "Reordered" paths
  delay %[2]s %% of the frames by %[3]v more.
- unet's figures are those of %[1]sstack/tcp%[1]s at both ends, in simulated time. Linux's figures, of release %[4]s, are those of two
  kernels in real time, whose TAP devices the same path joins; %[1]smake lab-linux%[1]s measures them again, and they vary from
  run to run.
- A flow runs for %[5]v and is measured over the last %[6]v. If chance decides the result, the figure is the mean of %[7]d flows,
  on the last path of %[8]d.
- Four such flows at 5 %% and 100ms have a standard error of 0.025 Mbit/s. Over many more flows
  NewReno's means there are 0.524 at 10 Mbit/s, 0.533 at 100 and 0.536 reordered (512 flows of 300s, ± 0.001); Linux's are
  0.482, 0.505 and 0.506 (12 flows of 140s, ± 0.006).
- In both stacks autotuning may use %[9]d MB for each direction. The default buffers, 6 MiB to receive and 4 MiB to send as on
  most Linux systems, would be a limit of their own if bandwidth times RTT is larger: at 1000 Mbit/s and 200 ms it is 25 MB.
- A full link carries %.1[10]f %% of its speed as text: the rest is headers.

![Goodput as a share of the link's speed](lab.svg)
`, "`", percent(reorders[1]), ReorderDelay, linux.Kernel, Warmup+Measured, Measured, (&Cell{Loss: losses[1]}).flows(),
		(&Cell{Loss: harshLosses[0]}).flows(), buffers>>20, 100*fullShare)
	for _, rate := range rates {
		fmt.Fprintf(&s, "\n## %d Mbit/s\n\n", rate/1e6)
		var rows []row
		for _, rtt := range rtts {
			for _, loss := range losses {
				rows = append(rows, row{rate, rtt, loss})
			}
		}
		table(&s, unet, linux, columns, rows)
	}
	fmt.Fprintf(&s, "\n## The harsh path: %d Mbit/s, %v\n\n", int64(harshRate)/1e6, harshRTT)
	var rows []row
	for _, loss := range harshLosses {
		rows = append(rows, row{harshRate, harshRTT, loss})
	}
	table(&s, unet, linux, columns[:4], rows)
	return s.String()
}

// fullShare is the share of the application's octets in a full frame.
const fullShare = float64(mtu-2*headerLen-12) / frameLen

// row is a path of a table.
type row struct {
	rate int64
	rtt  time.Duration
	loss float64
}

// table writes a table of the columns for which there are figures.
func table(s *strings.Builder, unet, linux *Results, columns []column, rows []row) {
	var shown []column
	for _, k := range columns {
		for _, r := range rows {
			if k.figure(unet, linux, r.rate, r.rtt, r.loss) != nil {
				shown = append(shown, k)
				break
			}
		}
	}
	s.WriteString("| RTT | loss |")
	for _, k := range shown {
		s.WriteString(" " + k.name + " |")
	}
	s.WriteString("\n|--:|--:|" + strings.Repeat("--:|", len(shown)) + "\n")
	for _, r := range rows {
		fmt.Fprintf(s, "| %v | %s %% |", r.rtt, percent(r.loss))
		for _, k := range shown {
			text := ""
			if f := k.figure(unet, linux, r.rate, r.rtt, r.loss); f != nil {
				text = megabits(f.Goodput)
			}
			s.WriteString(" " + text + " |")
		}
		s.WriteString("\n")
	}
}

// megabits writes three digits at least.
func megabits(bits uint64) string {
	m := float64(bits) / 1e6
	switch {
	case m < 1:
		return fmt.Sprintf("%.3f", m)
	case m < 10:
		return fmt.Sprintf("%.2f", m)
	}
	return fmt.Sprintf("%.1f", m)
}
