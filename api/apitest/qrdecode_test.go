package apitest_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	zxing "github.com/makiuchi-d/gozxing/qrcode"
	"github.com/skip2/go-qrcode"

	"loginhub/api"
	"loginhub/api/qr"
)

// decodeQR returns the text that a QR reader finds in a picture; "" if none. The
// reader misses a code in some thousands; as apps do, it tries again in its other
// modes.
func decodeQR(t *testing.T, picture image.Image) string {
	t.Helper()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	must(t, err)
	var last error
	for _, mode := range []map[gozxing.DecodeHintType]any{
		nil, {gozxing.DecodeHintType_TRY_HARDER: true}, {gozxing.DecodeHintType_PURE_BARCODE: true},
	} {
		result, err := zxing.NewQRCodeReader().Decode(bitmap, mode)
		if err == nil {
			return result.GetText()
		}
		last = err
	}
	t.Errorf("not read: %v", last)
	return ""
}

// blackLogo returns a logo that inverts most of what it covers.
func blackLogo(t *testing.T) *qr.Logo {
	t.Helper()
	var b bytes.Buffer
	must(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 64))))
	logo, err := qr.NewLogo(b.Bytes())
	must(t, err)
	return logo
}

// qrKind is how a code is drawn.
type qrKind struct {
	level  string // "" is the default
	logo   bool
	marked bool // something covers the middle of the SVG
}

var recoveryLevels = map[string]qrcode.RecoveryLevel{"L": qrcode.Low, "": qrcode.Medium, "Q": qrcode.High, "H": qrcode.Highest}

// eachCode runs a test for all kinds of codes: each level, with and without a logo.
func eachCode(t *testing.T, each func(t *testing.T, s *testServer, p *browser, kind qrKind)) {
	for _, kind := range []qrKind{{level: "L"}, {level: ""}, {level: "Q"}, {level: "H"}, {level: "Q", logo: true}, {level: "H", logo: true}} {
		for name, template := range map[string]string{"link": "", "long": "https://m.example.com/pages/login?from=" + strings.Repeat("x", 90) + "&t={ticket}"} {
			t.Run(fmt.Sprintf("%q, logo %v, %s", kind.level, kind.logo, name), func(t *testing.T) {
				t.Parallel()
				s := start(t, options{api: func(a *api.Config) {
					a.Reloadable.QR, a.QRLevel = template, kind.level
					if kind.logo {
						a.Reloadable.QRLogo = blackLogo(t)
					}
				}})
				drawn := kind
				drawn.marked = kind.level == "Q" || kind.level == "H" || kind.level == "" && name == "link"
				each(t, s, s.createTicket(t, nil), drawn)
			})
		}
	}
}

// sizes returns sizes of PNGs, odd and even ones from the smallest. The largest one, whose
// pixels are most of the work, is for long texts.
func sizes(long bool) (all []int) {
	for size := 128; size < 700; size += 1 + size/4 {
		all = append(all, size)
	}
	if long {
		all = append(all, 1024)
	}
	return all
}

func TestQRPNG_AllSizes(t *testing.T) {
	t.Parallel()
	eachCode(t, func(t *testing.T, s *testServer, p *browser, kind qrKind) {
		text := p.created["qr_url"].(string)
		want := modules(t, text, recoveryLevels[kind.level])
		for _, size := range sizes(len(text) > 100) {
			a := s.ask(t, "GET", p.path("qr.png")+"?size="+strconv.Itoa(size), nil)
			if size < 2*len(want) {
				if detail := a.problem(t, 400, "invalid_request"); !strings.Contains(detail, fmt.Sprintf("size: at least %d ", 2*len(want))) {
					t.Errorf("%d pixels for %d modules: %s", size, len(want), detail)
				}
				continue
			}
			if a.status != http.StatusOK {
				t.Fatalf("size %d: %d %s", size, a.status, a.body)
			}
			picture, err := png.Decode(bytes.NewReader(a.body))
			must(t, err)
			if edge := picture.Bounds(); edge.Dx() != size || edge.Dy() != size {
				t.Fatalf("%d by %d pixels, want %d", edge.Dx(), edge.Dy(), size)
			}
			if got := decodeQR(t, picture); got != text {
				t.Errorf("size %d is read as %q", size, got)
			}
			if !kind.logo {
				checkModules(t, picture, want)
			}
		}
	})
}

// checkModules checks that each module has the same whole number of pixels, as many as
// fit, and that the rest is white on all sides.
func checkModules(t *testing.T, picture image.Image, want [][]bool) {
	t.Helper()
	size := picture.Bounds().Dx()
	module := size / len(want)
	margin := (size - module*len(want)) / 2
	at := func(i int) int { return min(max(0, i-margin)/module, len(want)-1) } // pixels outside count as quiet zone
	for y := range size {
		for x := range size {
			if black := color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y < 128; black != want[at(y)][at(x)] {
				t.Fatalf("size %d: pixel %d,%d is black: %v", size, x, y, black)
			}
		}
	}
}

var (
	ground = regexp.MustCompile(`<rect fill="#fff" x="([0-9.]+)" y="[0-9.]+" width="([0-9.]+)"`)
	logoIn = regexp.MustCompile(`<(?:image|svg) x="([0-9.]+)" y="[0-9.]+" width="([0-9.]+)"`)
)

func TestQRSVG_Readable(t *testing.T) {
	t.Parallel()
	eachCode(t, func(t *testing.T, s *testServer, p *browser, kind qrKind) {
		svg := s.ask(t, "GET", p.path("qr.svg"), nil).body
		rows := readSVG(t, svg)
		const module = 8
		picture := image.NewGray(image.Rect(0, 0, module*len(rows), module*len(rows)))
		fill := func(x, y, edge float64, c color.Color) {
			square := image.Rect(int(module*x), int(module*y), int(module*(x+edge)), int(module*(y+edge)))
			draw.Draw(picture, square, image.NewUniform(c), image.Point{}, draw.Src)
		}
		for y, row := range rows {
			for x, black := range row {
				fill(float64(x), float64(y), 1, map[bool]color.Color{true: color.Black, false: color.White}[black])
			}
		}
		for i, part := range []*regexp.Regexp{ground, logoIn} {
			m := part.FindSubmatch(svg)
			if (m != nil) != kind.marked || kind.logo != bytes.Contains(svg, []byte("<image")) {
				t.Fatalf("not %+v: %.200s", kind, svg)
			}
			if m != nil {
				at, _ := strconv.ParseFloat(string(m[1]), 64)
				edge, _ := strconv.ParseFloat(string(m[2]), 64)
				fill(at, at, edge, []color.Color{color.White, color.Black}[i])
			}
		}
		if got := decodeQR(t, picture); got != p.created["qr_url"] {
			t.Errorf("read as %q", got)
		}
		if border := slices.Concat(rows[:4]...); slices.Contains(border, true) {
			t.Error("there is no quiet zone")
		}
	})
}
