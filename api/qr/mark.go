package qr

import "fmt"

const (
	markPart = 4.5 // width of a code's modules divided by that of the mark with its border: it covers 5 % of the area
	// maxMarked is the width in modules above which a code has no mark: the level that a mark needs
	// would make its modules too small for a screen.
	maxMarked = 65
)

// NewMarked returns the QR code of a text for a page: with the logo, or with the
// hub's own mark in its middle, which only the SVG has. level "" is Q, which a mark needs, for a text that is not
// too long, else M. A code of level L or M has no mark.
func NewMarked(text, level string, logo *Logo) (Code, error) {
	if logo != nil || level == "L" || level == "M" {
		return New(text, level, logo)
	}
	if level != "" {
		code, err := New(text, level, nil)
		code.marked = true
		return code, err
	}
	code, err := New(text, "Q", nil)
	if err != nil || modulesWide(code.QRCode) > maxMarked {
		return New(text, "M", nil)
	}
	code.marked = true
	return code, nil
}

// mark returns the hub's mark as elements of an SVG that is edge units wide. Its
// white border covers whole modules.
func mark(edge int) string {
	border := int(float64(edge-2*quietZone)/markPart)/2*2 + 1
	at := (edge - border) / 2
	return fmt.Sprintf(`<rect fill="#fff" x="%[1]d" y="%[1]d" width="%[2]d" height="%[2]d"/>`+
		`<svg x="%[3]g" y="%[3]g" width="%[4]g" height="%[4]g" viewBox="0 0 32 32" fill="none" stroke="#fff" stroke-width="2.4" shape-rendering="auto">`+
		`<rect width="32" height="32" rx="8" fill="#0a7a5c" stroke="none"/>`+
		`<rect x="7.1" y="7.1" width="6.8" height="6.8" rx="1.6"/><rect x="18.1" y="7.1" width="6.8" height="6.8" rx="1.6"/>`+
		`<rect x="7.1" y="18.1" width="6.8" height="6.8" rx="1.6"/>`+
		`<path stroke-width="3" stroke-linecap="round" stroke-linejoin="round" d="M17.8 21.6l2.8 2.9 5-5.8"/></svg>`,
		at, border, float64(at)+.5, float64(border)-1)
}
