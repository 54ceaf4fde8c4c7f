//go:build linux

package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// A plot is one picture: lines over the points of a part, or groups of bars.
type plot struct {
	part, file, title, unit string
	bars                    bool
	labels                  []string // of the points, left to right
	curves                  []curve
}

// A curve is one contestant's values, NaN where there is none.
type curve struct {
	name   string
	values []float64
	dashed bool
	colour string
}

// The picture's measures in pixels.
const (
	plotWidth, plotHeight = 760, 380
	left, right           = 76, 196 // the legend is at the right
	above, below          = 44, 46
	innerWidth            = plotWidth - left - right
	innerHeight           = plotHeight - above - below
)

// svg draws the plot. It has a background of its own, since pages are dark as well as light.
func (p *plot) svg() string {
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&s, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	text(&s, left, 22, "start", p.title, ` font-size="15" font-weight="bold"`)
	text(&s, left-8, above-8, "end", p.unit, "")
	top, step := scaleOf(p.highest())
	for i := 0; float64(i)*step <= top*1.0001; i++ {
		v := float64(i) * step
		y := height(v, top)
		fmt.Fprintf(&s, `<path d="M%d %.1fH%d" stroke="#ddd"/>`+"\n", left, y, left+innerWidth)
		text(&s, left-8, y+4, "end", axisFigure(v), "")
	}
	for i, label := range p.labels {
		for line, words := range strings.SplitN(label, ", ", 2) { // long ones have two parts
			text(&s, p.x(i), float64(plotHeight-below+18+15*line), "middle", words, "")
		}
	}
	for i, c := range p.curves {
		y := float64(above + 10 + 20*i)
		fmt.Fprintf(&s, `<rect x="%d" y="%.1f" width="14" height="10" fill="%s"%s/>`+"\n", plotWidth-right+16, y-9, c.colour, opacity(c))
		text(&s, float64(plotWidth-right+36), y, "start", c.name, "")
		if p.bars {
			p.drawBars(&s, i, top)
		} else {
			p.drawLine(&s, &c, top)
		}
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// drawBars draws the bars of curve i.
func (p *plot) drawBars(s *strings.Builder, i int, top float64) {
	c := &p.curves[i]
	group := 0.8 * innerWidth / float64(len(p.labels))
	width := min(group/float64(len(p.curves)), 60)
	for at, v := range c.values {
		if math.IsNaN(v) {
			continue
		}
		x := p.x(at) + width*(float64(i)-float64(len(p.curves))/2)
		y := height(v, top)
		fmt.Fprintf(s, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"%s><title>%s: %s</title></rect>`+"\n", x+1, y, width-2,
			plotHeight-below-y, c.colour, opacity(*c), escape(c.name), axisFigure(v))
	}
}

// drawLine draws a curve, with a gap where it has no value.
func (p *plot) drawLine(s *strings.Builder, c *curve, top float64) {
	path, verb := "", "M"
	for at, v := range c.values {
		if math.IsNaN(v) {
			verb = "M"
			continue
		}
		path += fmt.Sprintf("%s%.1f %.1f", verb, p.x(at), height(v, top))
		verb = "L"
		fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"><title>%s: %s</title></circle>`+"\n", p.x(at), height(v, top), c.colour,
			escape(c.name), axisFigure(v))
	}
	dash := ""
	if c.dashed {
		dash = ` stroke-dasharray="5 4"`
	}
	fmt.Fprintf(s, `<path d="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", path, c.colour, dash)
}

// x returns the horizontal place of point i.
func (p *plot) x(i int) float64 {
	return left + innerWidth*(float64(i)+0.5)/float64(len(p.labels))
}

func (p *plot) highest() (top float64) {
	for _, c := range p.curves {
		for _, v := range c.values {
			if v > top { // not NaN
				top = v
			}
		}
	}
	return top
}

// height returns the vertical place of a value on an axis that ends at top.
func height(v, top float64) float64 { return plotHeight - below - innerHeight*v/top }

// scaleOf returns the end of an axis that holds highest, and the round distance of its lines, of which there are 3 to 7.
func scaleOf(highest float64) (top, step float64) {
	if highest <= 0 {
		return 1, 0.25
	}
	step = math.Pow(10, math.Floor(math.Log10(highest)))
	switch {
	case highest/step < 1.5:
		step /= 4
	case highest/step < 3:
		step /= 2
	case highest/step > 7:
		step *= 2
	}
	return step * math.Ceil(highest/step), step
}

// axisFigure writes a number short.
func axisFigure(f float64) string {
	switch {
	case f >= 1e6:
		return fmt.Sprintf("%.4gM", f/1e6)
	case f >= 1e4:
		return fmt.Sprintf("%.4gk", f/1e3)
	}
	return fmt.Sprintf("%.4g", f)
}

func opacity(c curve) string {
	if c.dashed {
		return ` fill-opacity="0.55"`
	}
	return ""
}

func text(s *strings.Builder, x, y float64, anchor, words, attributes string) {
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="#222"%s>%s</text>`+"\n", x, y, anchor, attributes, escape(words))
}

func escape(words string) string {
	var s strings.Builder
	_ = xml.EscapeText(&s, []byte(words)) // a Builder takes everything
	return s.String()
}
