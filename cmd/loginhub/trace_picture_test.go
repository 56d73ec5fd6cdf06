package main_test

import (
	"fmt"
	"html"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// tracePicture is the picture in the runbook. `task trace-picture` draws it from a real trace.
const tracePicture = "../../deploy/trace.svg"

// Sizes of the picture, in pixels.
const (
	traceRow, traceText, traceBars, traceTimes = 22, 420, 380, 90
)

const pictureHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%d" font-family="system-ui, sans-serif" font-size="13">
<title>The trace of one login: the browser on node A, the phone on node B</title>
<style>
.back { fill: #fff } text { fill: #1f2328 } .line { stroke: #d1d9e0 } .time { fill: #59636e; text-anchor: end } .A { fill: #0969da } .B { fill: #bc4c00 }
@media (prefers-color-scheme: dark) { .back { fill: #0d1117 } text { fill: #f0f6fc } .line { stroke: #3d444d } .time { fill: #9198a1 } .A { fill: #4493f8 } .B { fill: #f0883e } }
</style>
<rect class="back" width="100%%" height="100%%"/>
<rect class="A" x="12" y="10" width="12" height="12"/><text x="30" y="21">node A: the browser</text>
<rect class="B" x="190" y="10" width="12" height="12"/><text x="208" y="21">node B: the phone</text>
`

// drawTrace writes the picture of a trace, if WRITE_TRACE is set.
func drawTrace(t *testing.T, spans []hubtest.Span, nodes map[string]string) {
	t.Helper()
	if os.Getenv("WRITE_TRACE") == "" {
		return
	}
	from, to := spans[0].Start, spans[0].End
	for _, s := range spans {
		if s.End.After(to) {
			to = s.End
		}
	}
	at := func(moment time.Time) float64 {
		return traceText + traceBars*float64(moment.Sub(from))/float64(to.Sub(from))
	}
	var out strings.Builder
	fmt.Fprintf(&out, pictureHead, traceText+traceBars+traceTimes, (len(spans)+2)*traceRow, (len(spans)+2)*traceRow)
	row := 2
	var draw func(parent string, depth int)
	draw = func(parent string, depth int) {
		for _, s := range spans {
			if s.Parent != parent {
				continue
			}
			y := row * traceRow
			row++
			name := strings.Replace(s.Name, "/api/login/tickets", "…", 1)
			if parent == "" {
				name = s.Name
			}
			if state := s.Attrs["loginhub.state"]; state != "" {
				name += " " + state
			}
			fmt.Fprintf(&out, "<line class=\"line\" x1=\"12\" x2=\"%d\" y1=\"%d\" y2=\"%[2]d\"/><text x=\"%[3]d\" y=\"%[4]d\">%[5]s</text>", traceText+traceBars+traceTimes-12, y, 12+16*depth, y+16, html.EscapeString(name))
			fmt.Fprintf(&out, "<rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"10\" rx=\"2\"/><text class=\"time\" x=\"%d\" y=\"%d\">%.1f ms</text>\n",
				nodes[s.Node], at(s.Start), y+6, max(at(s.End)-at(s.Start), 2), traceText+traceBars+traceTimes-14, y+16, float64(s.End.Sub(s.Start).Microseconds())/1000)
			draw(s.ID, depth+1)
		}
	}
	slices.SortStableFunc(spans, func(a, b hubtest.Span) int { return a.Start.Compare(b.Start) })
	draw("", 0)
	out.WriteString("</svg>\n")
	if err := os.WriteFile(tracePicture, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
