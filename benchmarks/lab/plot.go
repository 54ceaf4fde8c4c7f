package main

import (
	"fmt"
	"math"
	"strings"
)

// The picture's measures in pixels: a panel for each rate and RTT, rates from above and RTTs from the left.
const (
	panelWidth, panelHeight = 250, 170
	gapX, gapY              = 58, 56
	marginX, marginY        = 62, 84
	decades                 = 4 // of the share of the link's speed, from all of it downward
)

// colours of the columns. Lines with reordering are dashed, and Linux's have squares.
var colours = map[string]string{"cubic": "#0a7d4b", "reno": "#b35c00"}

// plot writes docs/lab.svg. It has a background of its own, since pages are dark as well as light.
func plot(unet, linux *Results) string {
	width, height := marginX+len(rtts)*(panelWidth+gapX), marginY+len(rates)*(panelHeight+gapY)
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&s, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	write := func(x, y float64, anchor, attributes, words string) {
		fmt.Fprintf(&s, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="#222"%s>%s</text>`+"\n", x, y, anchor, attributes, words)
	}
	write(16, 22, "start", ` font-size="15" font-weight="bold"`, "Goodput as a share of the link's speed, by loss")
	for i, k := range columns {
		x, y := float64(16+(i/2)*200), float64(42+18*(i%2))
		fmt.Fprintf(&s, `<path d="M%.1f %.1fh26"%s/>`+"\n", x, y-4, k.stroke())
		s.WriteString(k.mark(x+13, y-4, ""))
		write(x+32, y, "start", "", k.name)
	}
	for i, rate := range rates {
		for j, rtt := range rtts {
			x0, y0 := float64(marginX+j*(panelWidth+gapX)), float64(marginY+i*(panelHeight+gapY)+16)
			write(x0+panelWidth/2, y0-7, "middle", ` font-weight="bold"`, fmt.Sprintf("%d Mbit/s, %v", rate/1e6, rtt))
			for d := range decades + 1 {
				y := y0 + panelHeight*float64(d)/decades
				fmt.Fprintf(&s, `<path d="M%.1f %.1fh%d" stroke="#ddd"/>`+"\n", x0, y, panelWidth)
				write(x0-6, y+4, "end", "", fmt.Sprintf("%g %%", 100*math.Pow10(-d)))
			}
			at := func(l int) float64 { return x0 + panelWidth*(float64(l)+0.5)/float64(len(losses)) }
			for l, loss := range losses {
				write(at(l), y0+panelHeight+16, "middle", "", percent(loss)+" %")
			}
			for _, k := range columns {
				path, verb, marks := "", "M", ""
				for l, loss := range losses {
					f := k.figure(unet, linux, rate, rtt, loss)
					if f == nil {
						verb = "M"
						continue
					}
					depth := min(max(-math.Log10(float64(f.Goodput)/float64(rate)), 0), decades)
					y := y0 + panelHeight*depth/decades
					path += fmt.Sprintf("%s%.1f %.1f", verb, at(l), y)
					marks += k.mark(at(l), y, fmt.Sprintf("%s: %s Mbit/s", k.name, megabits(f.Goodput)))
					verb = "L"
				}
				if path != "" {
					fmt.Fprintf(&s, `<path d="%s"%s/>`+"\n%s", path, k.stroke(), marks)
				}
			}
		}
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// stroke returns the attributes of the column's line.
func (k *column) stroke() string {
	dash := ""
	if k.reorder > 0 {
		dash = ` stroke-dasharray="5 4"`
	}
	if k.linux {
		dash += ` stroke-opacity="0.45"`
	}
	return fmt.Sprintf(` fill="none" stroke="%s" stroke-width="1.6"%s`, colours[k.control], dash)
}

// mark draws a point: a disc, or a square for Linux.
func (k *column) mark(x, y float64, title string) string {
	if title != "" {
		title = "<title>" + title + "</title>"
	}
	if k.linux {
		return fmt.Sprintf(`<rect x="%.1f" y="%.1f" width="6" height="6" fill="#fff" stroke="%s">%s</rect>`+"\n", x-3, y-3, colours[k.control], title)
	}
	return fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s">%s</circle>`+"\n", x, y, colours[k.control], title)
}
