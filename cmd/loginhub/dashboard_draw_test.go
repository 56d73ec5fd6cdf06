package main_test

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// series is a series of a range query; NaN where it has no value.
type series struct {
	Metric map[string]string
	Values [][2]any // Unix time and text of a number
	name   string
}

// value returns the time and the value of a sample.
func (s series) value(i int) (at, value float64) {
	at, _ = s.Values[i][0].(float64)
	text, _ := s.Values[i][1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(value, 0) {
		value = math.NaN()
	}
	return at, value
}

// queryRange returns the series of an expression, at most 200 samples each.
func (p *prometheus) queryRange(expression string, from, to time.Time) ([]series, error) {
	var data struct{ Result []series }
	step := max(time.Second, to.Sub(from)/200)
	query := url.Values{"query": {expression}, "start": {fmt.Sprint(from.Unix())}, "end": {fmt.Sprint(to.Unix())}, "step": {fmt.Sprint(step.Seconds())}}
	err := p.get("/api/v1/query_range?"+query.Encode(), &data)
	return data.Result, err
}

// drawnPanel is a panel with its data.
type drawnPanel struct {
	dashboardPanel
	series []series
}

const (
	columnWidth = 60 // pixels of one unit of gridPos, of which a row has 24
	rowHeight   = 26
	legendNames = 6
)

// palette are the colours of the lines: Grafana's.
var palette = []string{"#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a"}

// drawDashboard returns the dashboard as an SVG picture.
func drawDashboard(panels []drawnPanel) string {
	var b strings.Builder
	bottom := 0
	for _, p := range panels {
		bottom = max(bottom, p.GridPos.Y+p.GridPos.H)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11" fill="#ccccdc"><rect width="100%%" height="100%%" fill="#111217"/>`+"\n",
		24*columnWidth, bottom*rowHeight)
	for _, p := range panels {
		g := p.GridPos
		x, y, w, h := g.X*columnWidth+3, g.Y*rowHeight+3, g.W*columnWidth-6, g.H*rowHeight-6
		if p.Type == "row" {
			drawText(&b, x+6, y+15, 15, "#ffffff", p.Title)
			continue
		}
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="2" fill="#181b1f" stroke="#2c3235"/>`, x, y, w, h)
		drawText(&b, x+8, y+16, 12, "#ccccdc", p.Title)
		switch {
		case len(p.series) == 0:
			drawText(&b, x+w/2-25, y+h/2, 12, "#7b8087", "No data")
		case p.Type == "stat":
			_, last := p.series[0].value(len(p.series[0].Values) - 1)
			drawText(&b, x+10, y+h/2+26, 30, palette[0], quantity(last, p.FieldConfig.Defaults.Unit))
		case p.Type == "table":
			for i, s := range p.series {
				drawText(&b, x+10, y+40+16*i, 11, "#ccccdc", strings.Join([]string{s.Metric["version"], s.Metric["revision"], s.Metric["go_version"]}, "   "))
			}
		default:
			p.drawLines(&b, x+52, y+26, w-62, h-62)
			p.drawLegend(&b, x+8, y+h-8, w-16)
		}
		b.WriteString("\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// drawLines draws the series and the axes into a rectangle.
func (p drawnPanel) drawLines(b *strings.Builder, x, y, w, h int) {
	first, last, top := math.Inf(1), math.Inf(-1), 0.0
	for _, s := range p.series {
		for i := range s.Values {
			at, v := s.value(i)
			first, last = min(first, at), max(last, at)
			if !math.IsNaN(v) {
				top = max(top, v)
			}
		}
	}
	top = cmp.Or(top, 1) * 1.05
	for i := range 3 {
		line := y + h - h*i/2
		fmt.Fprintf(b, `<path d="M%d %dh%d" stroke="#2c3235"/>`, x, line, w)
		drawText(b, x-48, line+4, 10, "#7b8087", quantity(top*float64(i)/2, p.FieldConfig.Defaults.Unit))
	}
	for n, s := range p.series {
		var path strings.Builder
		pen := "M"
		for i := range s.Values {
			at, v := s.value(i)
			if math.IsNaN(v) {
				pen = "M"
				continue
			}
			fmt.Fprintf(&path, "%s%.0f %.0f", pen, float64(x)+float64(w)*(at-first)/max(last-first, 1), float64(y+h)-float64(h)*max(v, 0)/top)
			pen = "L"
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s"/>`, path.String(), palette[n%len(palette)])
	}
	drawText(b, x, y+h+13, 10, "#7b8087", time.Unix(int64(first), 0).UTC().Format("15:04:05"))
	drawText(b, x+w-44, y+h+13, 10, "#7b8087", time.Unix(int64(last), 0).UTC().Format("15:04:05"))
}

// drawLegend draws the names of the series that have the largest last values, as far as
// there is room.
func (p drawnPanel) drawLegend(b *strings.Builder, x, y, w int) {
	type entry struct {
		name, color string
		last        float64
	}
	var all []entry
	for n, s := range p.series {
		_, last := s.value(len(s.Values) - 1)
		all = append(all, entry{s.name, palette[n%len(palette)], last})
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(b.last, a.last) })
	at := x
	for i, e := range all {
		wide := 16 + 6*len(e.name)
		if i == legendNames || at+wide > x+w-20 {
			drawText(b, at, y, 10, "#7b8087", "…")
			return
		}
		fmt.Fprintf(b, `<path d="M%d %dh10" stroke="%s" stroke-width="3"/>`, at, y-3, e.color)
		drawText(b, at+13, y, 10, "#ccccdc", e.name)
		at += wide + 8
	}
}

func drawText(b *strings.Builder, x, y, size int, color, text string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="%d" fill="%s">%s</text>`, x, y, size, color, html.EscapeString(text))
}

// quantity returns a value with its unit, as Grafana shows it.
func quantity(v float64, unit string) string {
	if math.IsNaN(v) {
		return "-"
	}
	switch {
	case unit == "percentunit":
		return fmt.Sprintf("%.3g%%", 100*v)
	case unit == "s" && v >= 7200:
		return fmt.Sprintf("%.3g h", v/3600)
	case unit == "s" && v < 0.001:
		return fmt.Sprintf("%.3g µs", v*1e6)
	case unit == "s" && v < 1:
		return fmt.Sprintf("%.3g ms", v*1e3)
	case unit == "s":
		return fmt.Sprintf("%.3g s", v)
	case unit == "bytes":
		return fmt.Sprintf("%.3g MiB", v/(1<<20))
	case unit == "ops" || unit == "reqps":
		return fmt.Sprintf("%.2g/s", v)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
