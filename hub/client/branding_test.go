package client_test

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"regexp"
	"strings"
	"testing"

	"loginhub/hub/client"
)

// picture returns a picture with one colour.
func picture(w, h int) image.Image {
	p := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.RGBA{200, 30, 40, 255}})
	return p
}

func encoded(t *testing.T, encode func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLogo(t *testing.T) {
	asPNG := func(w, h int) []byte {
		return encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, picture(w, h)) })
	}
	bomb := asPNG(20, 20)
	copy(bomb[16:24], []byte{0, 1, 0, 0, 0, 1, 0, 0}) // the header says 65,536 × 65,536
	for name, c := range map[string]struct {
		file []byte
		w, h int    // as served; 0: refused
		text string // in the error
	}{
		"a PNG":        {asPNG(100, 40), 100, 40, ""},
		"a large PNG":  {asPNG(2048, 1024), 256, 128, ""},
		"a JPEG":       {encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, picture(300, 300), nil) }), 256, 256, ""},
		"a GIF":        {encoded(t, func(b *bytes.Buffer) error { return gif.Encode(b, picture(64, 64), nil) }), 64, 64, ""},
		"an SVG":       {[]byte("<?xml version='1.0'?><svg/>"), 0, 0, "scripts"},
		"a WebP":       {[]byte("RIFF\x00\x00\x00\x00WEBPVP8 "), 0, 0, "export it as PNG"},
		"too many":     {bomb, 0, 0, "pixels"},
		"one too wide": {asPNG(2049, 20), 0, 0, "2049 × 20"},
		"tiny":         {asPNG(15, 20), 0, 0, "15 × 20"},
		"damaged":      {asPNG(300, 300)[:90], 0, 0, "damaged"},
		"a large file": {make([]byte, client.MaxLogo+1), 0, 0, "has 262145 bytes"},
		"an empty one": {nil, 0, 0, "PNG, JPEG or GIF"},
	} {
		out, err := client.NewLogo(c.file)
		if c.w == 0 {
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		served, decodeErr := png.Decode(bytes.NewReader(out))
		if err != nil || decodeErr != nil || served.Bounds().Dx() != c.w || served.Bounds().Dy() != c.h {
			t.Errorf("%s: %v, %v", name, err, decodeErr)
			continue
		}
		if r, g, b, _ := served.At(c.w/2, c.h/2).RGBA(); r>>8 < 190 || g>>8 > 45 || b>>8 > 55 {
			t.Errorf("%s: the colour is %d %d %d", name, r>>8, g>>8, b>>8)
		}
	}
}

func TestAccents(t *testing.T) {
	for name, c := range map[string]struct{ light, dark, want, text string }{
		"the hub's own":   {"#0a7a5c", "#3ecf9d", "#0a7a5c #ffffff #3ecf9d #000000", ""},
		"without a dark":  {"#8B0000", "", "#8b0000 #ffffff", ""},
		"too light":       {"#ffcc00", "", "", `background #f1f5f4 is 1.37, and text needs 4.5; the nearest colour that passes is "#`},
		"too dark":        {"#0a7a5c", "#0a7a5c", "", "accent_dark"},
		"a name":          {"red", "", "", "#rrggbb"},
		"three digits":    {"#fff", "", "", "#rrggbb"},
		"a style in it":   {"#0a7a5c;}", "", "", "#rrggbb"},
		"text after dark": {"#0a7a5c", "#3ecf9d ", "", "#rrggbb"},
	} {
		light, dark, err := client.NewAccents(c.light, c.dark)
		if got := strings.Join([]string{light.Color, light.On, dark.Color, dark.On}, " "); c.want != "" && (err != nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if c.want == "" && (err == nil || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: %v", name, err)
		}
		// What a refusal proposes is accepted.
		if proposed := regexp.MustCompile(`passes is "(#\w+)"`).FindStringSubmatch(errorText(err)); proposed != nil && strings.HasPrefix(errorText(err), "accent \"") {
			if _, _, err := client.NewAccents(proposed[1], ""); err != nil {
				t.Errorf("%s: the proposal is refused: %v", name, err)
			}
		}
	}
	// The backgrounds that are checked are those of the style sheets.
	for file, declarations := range map[string][]string{
		"page/base.css": {"--loginhub-background, #f1f5f4", "--loginhub-card, #ffffff", "--fill: #f5f8fa"},
		"page/dark.css": {"--loginhub-background-dark, #0c1214", "--loginhub-card-dark, #151d21", "--fill: #1c262d"},
		"client/widget/style.js": {"--login-qr-background, #161e24", "--fill: #1f2a31", "--login-qr-background, #fff)",
			"--fill: #f5f8fa"},
	} {
		text, err := os.ReadFile("../../frontend/" + file)
		for _, d := range declarations {
			if err != nil || !strings.Contains(string(text), d) {
				t.Errorf("%s has no %s: change the backgrounds in accent.go too (%v)", file, d, err)
			}
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
