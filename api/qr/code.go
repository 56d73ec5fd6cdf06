package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/skip2/go-qrcode"
)

const (
	quietZone = 4 // modules of white around a code (ISO/IEC 18004, section 5.3.8)
	// minModule is in pixels. Cameras and resampling lose modules of one pixel.
	minModule = 2
)

// recoveryLevel returns the error correction level of that name: which part of
// the code may be covered (7, 15, 25, 30 %).
func recoveryLevel(name string) qrcode.RecoveryLevel {
	switch name {
	case "L":
		return qrcode.Low
	case "Q":
		return qrcode.High
	case "H":
		return qrcode.Highest
	}
	return qrcode.Medium
}

// Code is a QR code with its logo; nil: none.
type Code struct {
	*qrcode.QRCode
	logo   *Logo
	marked bool // the SVG has the hub's mark
}

// New returns the QR code of a text. level is the error correction level: L,
// M, Q or H; "" is M.
func New(text, level string, logo *Logo) (Code, error) {
	qr, err := qrcode.New(text, recoveryLevel(level))
	if err != nil {
		return Code{}, fmt.Errorf("qr code: %w", err)
	}
	return Code{QRCode: qr, logo: logo}, nil
}

// MinSize is the smallest edge of a PNG of the code, in pixels, that cameras can
// read.
func (c Code) MinSize() int { return minModule * modulesWide(c.QRCode) }

// PNG returns the code as a PNG with an edge of size pixels.
func (c Code) PNG(size int) ([]byte, error) {
	img, err := raster(c.QRCode, c.logo, size)
	if err != nil {
		return nil, fmt.Errorf("qr code: %w", err)
	}
	return img, nil
}

// modulesWide returns the width of a code in modules, with its quiet zone.
func modulesWide(code *qrcode.QRCode) int { return 17 + 4*code.VersionNumber + 2*quietZone }

// raster returns the code as a PNG. Each module has the same whole number of
// pixels; the rest of the size is a white border.
func raster(code *qrcode.QRCode, logo *Logo, size int) ([]byte, error) {
	rows := code.Bitmap() // with its quiet zone
	module := size / len(rows)
	width := module * len(rows)
	at := (size - width) / 2
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.White, color.Black})
	for y, row := range rows {
		first := img.Pix[(at+y*module)*size:][:size]
		for x, dark := range row {
			for i := range module {
				if dark {
					first[at+x*module+i] = 1
				}
			}
		}
		for i := range module {
			copy(img.Pix[(at+y*module+i)*size:], first)
		}
	}
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if logo == nil {
		err := encoder.Encode(&b, img)
		return b.Bytes(), err
	}
	err := png.Encode(&b, logo.drawOn(img, image.Rect(at, at, at+width, at+width)))
	return b.Bytes(), err
}

// SVG returns the code as an SVG: one path of horizontal runs, sharp at every
// size. Its natural size is one pixel for each module, so that a page can scale
// it evenly.
func (c Code) SVG() []byte {
	rows := c.Bitmap() // with its quiet zone
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[1]d" viewBox="0 0 %[1]d %[1]d" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path d="`, len(rows))
	for y, row := range rows {
		for x := 0; x < len(row); x++ {
			run := x
			for run < len(row) && row[run] {
				run++
			}
			if run > x {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x, y, run-x, run-x)
				x = run
			}
		}
	}
	b.WriteString(`"/>`)
	if c.logo != nil {
		b.WriteString(c.logo.svg(len(rows)))
	} else if c.marked {
		b.WriteString(mark(len(rows)))
	}
	b.WriteString(`</svg>`)
	return b.Bytes()
}
