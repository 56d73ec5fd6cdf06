package client

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // the first picture
	_ "image/jpeg"
	"image/png"
)

// Branding is how a client's pages look. It does not change what protects the user: the
// site's address, the comparison of addresses, the number and the warnings.
type Branding struct {
	Logo        []byte // a PNG; nil: the hub's mark
	Light, Dark Accent // zero: the hub's colour
	Theme       string // ThemeLight, ThemeDark, or "" for the browser's
	// Texts replace texts of the catalogue, by language (BCP 47) and key.
	Texts map[string]map[string]string
}

// ReplacedTexts returns the client's own texts; nil if it has none.
func (c *Client) ReplacedTexts() map[string]map[string]string {
	if c.Branding == nil {
		return nil
	}
	return c.Branding.Texts
}

// Values of Branding.Theme.
const (
	ThemeLight = "light"
	ThemeDark  = "dark"
)

// BrandingLanguages are the languages of Branding.Texts.
func BrandingLanguages() []string { return []string{"zh-CN", "zh-TW", "en", "ja", "ko", "ar"} }

// BrandingTexts are the keys of Branding.Texts: texts of the login page and the widget that
// protect no one.
func BrandingTexts() []string {
	return []string{"title", "eyebrow", "step1", "step3", "pending", "confirmed", "consumed", "expired", "rejectedHint", "refresh", "again", "or", "lastUsed"}
}

// File returns the file of a path below /assets/, and its media type; nil if the path is none
// of the branding's. The paths have the content's hash.
func (b *Branding) File(path string) (body []byte, kind string) {
	switch {
	case b == nil || path == "":
		return nil, ""
	case path == b.LogoPath():
		return b.Logo, "image/png"
	case path == b.SheetPath():
		return b.sheet(), "text/css; charset=utf-8"
	}
	return nil, ""
}

// LogoPath returns the path of the logo below /assets/; "" if there is none.
func (b *Branding) LogoPath() string { return hashedPath(b.Logo, "png") }

// SheetPath returns the path of the style sheet with the colours below /assets/; "" if there
// is none.
func (b *Branding) SheetPath() string { return hashedPath(b.sheet(), "css") }

// sheet returns the colours as custom properties. The Content-Security-Policy of the pages
// forbids them in the page itself.
func (b *Branding) sheet() []byte {
	if b.Light.Color == "" {
		return nil
	}
	return fmt.Appendf(nil, ":root{--loginhub-accent:%s;--loginhub-on-accent:%s;--loginhub-accent-dark:%s;--loginhub-on-accent-dark:%s}\n",
		b.Light.Color, b.Light.On, b.Dark.Color, b.Dark.On)
}

func hashedPath(body []byte, ext string) string {
	if body == nil {
		return ""
	}
	sum := sha256.Sum256(body)
	return "brand/" + hex.EncodeToString(sum[:16]) + "." + ext
}

// Bounds of a logo.
const (
	MaxLogo     = 256 << 10 // bytes of the file
	maxLogoEdge = 2048      // pixels of the file
	minLogoEdge = 16
	logoEdge    = 256 // pixels as served
)

// ErrLogo means that a file is not a usable logo. Its text names the bounds.
var ErrLogo = errors.New("a PNG, JPEG or GIF of 16 to 2048 pixels and at most 256 KiB")

// NewLogo decodes a picture and returns it as a PNG of at most 256 pixels. The dimensions are
// checked before the pixels are decoded.
func NewLogo(file []byte) ([]byte, error) {
	if len(file) > MaxLogo {
		return nil, fmt.Errorf("%w; the file has %d bytes", ErrLogo, len(file))
	}
	if text := bytes.TrimSpace(file); bytes.HasPrefix(text, []byte("<")) {
		return nil, fmt.Errorf("%w; an SVG can contain scripts and load other files: export it as PNG", ErrLogo)
	}
	size, _, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%w; export it as PNG: %w", ErrLogo, err)
	}
	if min(size.Width, size.Height) < minLogoEdge || max(size.Width, size.Height) > maxLogoEdge {
		return nil, fmt.Errorf("%w; it has %d × %d pixels", ErrLogo, size.Width, size.Height)
	}
	picture, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%w; the file is damaged: %w", ErrLogo, err)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, shrink(picture)); err != nil {
		return nil, fmt.Errorf("encode logo: %w", err)
	}
	return out.Bytes(), nil
}

// shrink scales a picture down to logoEdge: each pixel is the mean of those that it covers.
func shrink(from image.Image) image.Image {
	b := from.Bounds()
	longest := max(b.Dx(), b.Dy(), logoEdge)
	w, h := max(1, b.Dx()*logoEdge/longest), max(1, b.Dy()*logoEdge/longest)
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			part := image.Rect(x*b.Dx()/w, y*b.Dy()/h, max((x+1)*b.Dx()/w, x*b.Dx()/w+1), max((y+1)*b.Dy()/h, y*b.Dy()/h+1)).Add(b.Min)
			to.SetRGBA(x, y, mean(from, part))
		}
	}
	return to
}

// mean returns the mean colour of a part, with alpha-premultiplied values.
func mean(from image.Image, part image.Rectangle) color.RGBA {
	var sum [4]uint64
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			r, g, b, a := from.At(x, y).RGBA()
			for i, v := range [4]uint32{r, g, b, a} {
				sum[i] += uint64(v)
			}
		}
	}
	n := uint64(part.Dx() * part.Dy())
	return color.RGBA{uint8(sum[0] / n >> 8), uint8(sum[1] / n >> 8), uint8(sum[2] / n >> 8), uint8(sum[3] / n >> 8)}
}
