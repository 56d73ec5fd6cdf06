package qr

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
)

// Bounds of a logo, which is part of every QR code that is rendered.
const (
	MaxLogo     = 64 << 10 // bytes
	maxLogoEdge = 1024     // pixels
	minLogoEdge = 16
	logoPart    = 5 // width of the code divided by the logo's; with its border the logo covers 6 % of the area
	logoBorders = 8 // width of the logo divided by its white border's
)

// Logo is a picture in the middle of the QR codes. It covers part of the code,
// which then needs error correction level Q or H.
type Logo struct {
	picture image.Image
	data    string // base64 of the PNG
}

// ErrLogo means that a file is not a usable logo. Its text names the bounds.
var ErrLogo = errors.New("a square PNG of 16 to 1024 pixels and at most 64 KiB")

// NewLogo decodes a PNG file.
func NewLogo(file []byte) (*Logo, error) {
	if len(file) > MaxLogo {
		return nil, ErrLogo
	}
	size, err := png.DecodeConfig(bytes.NewReader(file))
	if err != nil || size.Width != size.Height || size.Width < minLogoEdge || size.Width > maxLogoEdge {
		return nil, ErrLogo
	}
	picture, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLogo, err)
	}
	return &Logo{picture, base64.StdEncoding.EncodeToString(file)}, nil
}

// SVG returns the logo as elements of an SVG that is edge units wide.
func (l *Logo) svg(edge int) string {
	side := float64(edge) / logoPart
	border := side / logoBorders
	at := (float64(edge) - side) / 2
	return fmt.Sprintf(`<rect fill="#fff" x="%[1]g" y="%[1]g" width="%[2]g" height="%[2]g"/>`+
		`<image x="%[3]g" y="%[3]g" width="%[4]g" height="%[4]g" href="data:image/png;base64,%[5]s"/>`,
		at-border, side+2*border, at, side, l.data)
}

// drawOn returns the picture with the logo in the middle of the code, scaled by
// nearest neighbor.
func (l *Logo) drawOn(picture image.Image, code image.Rectangle) image.Image {
	out := image.NewRGBA(picture.Bounds())
	draw.Draw(out, out.Bounds(), picture, out.Bounds().Min, draw.Src)
	side := code.Dx() / logoPart
	border := side / logoBorders
	at := code.Min.Add(image.Pt((code.Dx()-side)/2, (code.Dx()-side)/2))
	place := image.Rectangle{at, at.Add(image.Pt(side, side))}
	draw.Draw(out, place.Inset(-border), image.NewUniform(color.White), image.Point{}, draw.Src)
	from := l.picture.Bounds()
	scaled := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			scaled.Set(x, y, l.picture.At(from.Min.X+x*from.Dx()/side, from.Min.Y+y*from.Dy()/side))
		}
	}
	draw.Draw(out, place, scaled, image.Point{}, draw.Over)
	return out
}
