package api

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/skip2/go-qrcode"

	"loginhub/api/request"
	"loginhub/hub/ticket"
)

// Bounds of a PNG's edge in pixels.
const (
	defaultSize = 256
	minSize     = 128
	maxSize     = 1024
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

// qrText returns the content of the QR code. It does not read Redis.
func (cfg *activeConfig) qrText(client string, id ticket.ID) string {
	return strings.ReplaceAll(cfg.loginMethods(client).QR, "{ticket}", string(id))
}

// qrImage returns the path of the code's picture. The endpoint does not read
// the ticket, so the path names a client that has its own codes. A mini-program
// code is a PNG, because it is not a vector graphic.
func (cfg *activeConfig) qrImage(client string, id ticket.ID) string {
	path := "/api/login/tickets/" + string(id) + "/qr."
	if cfg.loginMethods(client).MiniProgramCodes != nil {
		path += "png"
	} else {
		path += "svg"
	}
	if _, own := cfg.LoginMethods[client]; own {
		path += "?client_id=" + url.QueryEscape(client)
	}
	return path
}

// parseQRRequest reads the ticket and the client of a request for a code.
// Without a client the code is that of the deployment.
func (s *Server) parseQRRequest(c echo.Context) (ticket.ID, string, error) {
	id, err := request.TicketID(c)
	if err != nil {
		return "", "", err
	}
	client := c.QueryParam("client_id")
	if client == "" || activeConfigOf(c).clients[client] != nil {
		return id, client, nil
	}
	return "", "", s.refuseUnlessUnknown(c, id, request.Invalid("client_id: unknown client"))
}

// qrCode returns the QR code of a ticket.
func (s *Server) qrCode(cfg *activeConfig, client string, id ticket.ID) (*qrcode.QRCode, error) {
	code, err := qrcode.New(cfg.qrText(client, id), recoveryLevel(s.QRLevel))
	if err != nil {
		return nil, fmt.Errorf("qr code: %w", err)
	}
	return code, nil
}

// renderPNG returns the code as a PNG. It waits for a slot of the renderLimiter
// and frees it before the answer is sent.
func (s *Server) renderPNG(c echo.Context, client string, id ticket.ID, size int) (img []byte, err error) {
	r := c.Request()
	err = s.renderLimiter.run(r.Context(), s.proxies.Addr(r).RateKey, func() error {
		code, err := s.qrCode(activeConfigOf(c), client, id)
		if err != nil {
			return err
		}
		if smallest := minModule * modulesWide(code); size < smallest {
			return request.Invalid(fmt.Sprintf("size: at least %d for this code, otherwise it cannot be read", smallest))
		}
		if img, err = raster(code, activeConfigOf(c).QRLogo, size); err != nil {
			return fmt.Errorf("qr code: %w", err)
		}
		return nil
	})
	return img, err
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

// qrPNG is GET …/qr.png?size=PIXELS. A mini-program code ignores the size.
func (s *Server) qrPNG(c echo.Context) error {
	size, err := request.QueryInt(c, "size", defaultSize, maxSize)
	if err != nil || size < minSize {
		return request.Invalid(fmt.Sprintf("size: a whole number from %d to %d", minSize, maxSize))
	}
	id, client, err := s.parseQRRequest(c)
	if err != nil {
		return err
	}
	if wxacode := s.wxacodePNG(c, client, id); wxacode != nil {
		return sendImage(c, "image/png", wxacode)
	}
	png, err := s.renderPNG(c, client, id, int(size))
	if err != nil {
		return err
	}
	return sendImage(c, "image/png", png)
}

// qrSVG is GET …/qr.svg: one path of horizontal runs, sharp at every size. Its
// natural size is one pixel for each module, so that a page can scale it
// evenly. A mini-program code is embedded as a PNG.
func (s *Server) qrSVG(c echo.Context) error {
	id, client, err := s.parseQRRequest(c)
	if err != nil {
		return err
	}
	if wxacode := s.wxacodePNG(c, client, id); wxacode != nil {
		return sendImage(c, "image/svg+xml", fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="430" height="430" viewBox="0 0 430 430">`+
			`<image width="430" height="430" href="data:image/png;base64,%s"/></svg>`, base64.StdEncoding.EncodeToString(wxacode)))
	}
	code, err := s.qrCode(activeConfigOf(c), client, id)
	if err != nil {
		return err
	}
	return sendImage(c, "image/svg+xml", renderSVG(code, activeConfigOf(c).QRLogo))
}

// renderSVG returns the code as an SVG, with the logo if there is one.
func renderSVG(code *qrcode.QRCode, logo *Logo) []byte {
	rows := code.Bitmap() // with its quiet zone
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
	if logo != nil {
		b.WriteString(logo.svg(len(rows)))
	}
	b.WriteString(`</svg>`)
	return b.Bytes()
}

// sendImage answers with a picture that pages of other origins may show.
func sendImage(c echo.Context, kind string, data []byte) error {
	c.Response().Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	return c.Blob(http.StatusOK, kind, data)
}
