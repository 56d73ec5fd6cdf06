package client

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// Accent is a colour of buttons, links and marks, and that of text on it; both as #rrggbb.
type Accent struct{ Color, On string }

// minContrast is the contrast of text with its background (WCAG 2.2, success criterion 1.4.3).
// Marks need 3:1 (1.4.11), which follows.
const minContrast = 4.5

// The backgrounds on which pages and widget show the accent. A test compares them with the
// style sheets.
var (
	lightBackgrounds = []string{"#ffffff", "#f1f5f4", "#f5f8fa"}
	darkBackgrounds  = []string{"#151d21", "#0c1214", "#1c262d", "#161e24", "#1f2a31"}
)

// NewAccents checks the colours for the light and the dark pages. Without a dark one it is the
// light one, made lighter until it can be read.
func NewAccents(light, dark string) (onLight, onDark Accent, err error) {
	if onLight, err = newAccent(light, lightBackgrounds, rgb{}); err != nil {
		return onLight, onDark, fmt.Errorf("accent %.20q: %w", light, err)
	}
	if dark == "" {
		c, _ := parseColor(light)
		dark = nearest(c, darkBackgrounds, rgb{255, 255, 255}).String()
	}
	if onDark, err = newAccent(dark, darkBackgrounds, rgb{255, 255, 255}); err != nil {
		return onLight, onDark, fmt.Errorf("accent_dark %.20q: %w", dark, err)
	}
	return onLight, onDark, nil
}

// newAccent checks a colour on its backgrounds. limit is black or white, with which it gets
// more contrast.
func newAccent(text string, backgrounds []string, limit rgb) (Accent, error) {
	c, err := parseColor(text)
	if err != nil {
		return Accent{}, err
	}
	if worst, ratio := worstContrast(c, backgrounds); ratio < minContrast {
		return Accent{}, fmt.Errorf("its contrast with the background %s is %.2f, and text needs %.1f; the nearest colour that passes is %q",
			worst, math.Floor(ratio*100)/100, minContrast, nearest(c, backgrounds, limit))
	}
	on := Accent{c.String(), "#ffffff"}
	if contrast(c, rgb{}) > contrast(c, rgb{255, 255, 255}) {
		on.On = "#000000"
	}
	return on, nil
}

// nearest returns the first colour on the way from c to limit that passes.
func nearest(c rgb, backgrounds []string, limit rgb) rgb {
	for step := range 256 {
		var mixed rgb
		for i := range c {
			mixed[i] = uint8((int(c[i])*(255-step) + int(limit[i])*step) / 255)
		}
		if _, ratio := worstContrast(mixed, backgrounds); ratio >= minContrast {
			return mixed
		}
	}
	return limit
}

func worstContrast(c rgb, backgrounds []string) (worst string, ratio float64) {
	ratio = math.Inf(1)
	for _, text := range backgrounds {
		back, err := parseColor(text)
		if r := contrast(c, back); err == nil && r < ratio {
			worst, ratio = text, r
		}
	}
	return worst, ratio
}

// rgb is a colour of sRGB.
type rgb [3]uint8

// String returns the colour as #rrggbb.
func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

var hexColor = regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`)

func parseColor(text string) (c rgb, err error) {
	if !hexColor.MatchString(text) {
		return c, errors.New("expected a colour as '#rrggbb', in quotes")
	}
	for i := range c {
		v, err := strconv.ParseUint(text[1+2*i:3+2*i], 16, 8)
		if err != nil {
			return c, err
		}
		c[i] = uint8(v)
	}
	return c, nil
}

// contrast returns the contrast ratio of two colours (WCAG 2.2, definition).
func contrast(a, b rgb) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance returns the relative luminance (WCAG 2.2, definition).
func luminance(c rgb) float64 {
	weights := [3]float64{0.2126, 0.7152, 0.0722}
	sum := 0.0
	for i, v := range c {
		s := float64(v) / 255
		if s <= 0.04045 {
			s /= 12.92
		} else {
			s = math.Pow((s+0.055)/1.055, 2.4)
		}
		sum += weights[i] * s
	}
	return sum
}
