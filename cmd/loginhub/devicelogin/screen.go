package devicelogin

import (
	"cmp"
	"fmt"
	"strings"

	"loginhub/api/qr"
)

// quietZone is the white border of the code, in modules. The standard's four would not
// leave room for the text on 24 lines; cameras read two.
const quietZone = 2

// cropped is what the drawn bitmap has more of a border.
const cropped = 4 - quietZone

// The code is black on white, whatever the terminal's colours are: inverted codes are
// not readable for every camera. 16 and 231 are the fixed black and white of the 256
// colours; the first sixteen depend on the theme.
const (
	blackOnWhite = "\x1b[38;5;16;48;5;231m"
	reset        = "\x1b[0m"
)

// show prints the code. The person scans it, or opens the address and types the code.
func (s Screen) show(code *deviceCode) {
	link := cmp.Or(code.Complete, code.VerificationURI)
	var b strings.Builder
	if picture := draw(link, s.Columns); picture != "" {
		fmt.Fprintf(&b, "\n%s\nScan the code with your phone, or open\n  %s\n", picture, printable(code.VerificationURI))
	} else {
		fmt.Fprintf(&b, "\nOpen on your phone\n  %s\nor open\n  %s\n", printable(link), printable(code.VerificationURI))
	}
	fmt.Fprintf(&b, "and type the code\n  %s\n", printable(code.UserCode))
	if code.MatchCode != "" {
		fmt.Fprintf(&b, "On the phone choose the number\n  %s\n", printable(code.MatchCode))
	}
	b.WriteString("Waiting …\n")
	fmt.Fprint(s.Out, b.String())
}

// draw returns the QR code of a text as lines of half blocks: one character is two
// modules, one above the other. It returns "" if the terminal is too narrow.
func draw(text string, columns int) string {
	code, err := qr.New(text, "L", nil)
	if err != nil {
		return "" // too long
	}
	rows := code.Bitmap()
	rows = rows[cropped : len(rows)-cropped]
	for y := range rows {
		rows[y] = rows[y][cropped : len(rows[y])-cropped]
	}
	if len(rows) > columns {
		return ""
	}
	var b strings.Builder
	for y := 0; y < len(rows); y += 2 {
		b.WriteString(blackOnWhite)
		for x := range rows[y] {
			upper, lower := rows[y][x], y+1 < len(rows) && rows[y+1][x]
			switch {
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString(reset + "\n")
	}
	return b.String()
}
