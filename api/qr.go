package api

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/skip2/go-qrcode"

	"loginhub/hub/ticket"
)

// Bounds of a PNG's edge in pixels.
const (
	defaultSize = 256
	minSize     = 128
	maxSize     = 1024
)

// qrText is what the code holds. Nothing is asked of Redis for it.
func (s *Server) qrText(id ticket.ID) string {
	return strings.ReplaceAll(s.QR, "{ticket}", string(id))
}

// draw makes the code, at the level that still reads with 15 % of it covered.
func (s *Server) draw(c echo.Context) (*qrcode.QRCode, error) {
	id, err := ticketID(c)
	if err != nil {
		return nil, err
	}
	code, err := qrcode.New(s.qrText(id), qrcode.Medium)
	if err != nil {
		return nil, fmt.Errorf("qr code: %w", err)
	}
	return code, nil
}

// qrPNG is GET …/qr.png?size=PIXELS.
func (s *Server) qrPNG(c echo.Context) error {
	size, err := number(c, "size", defaultSize, maxSize)
	if err != nil {
		return err
	}
	if size < minSize {
		return invalid(fmt.Sprintf("size: from %d to %d", minSize, maxSize))
	}
	code, err := s.draw(c)
	if err != nil {
		return err
	}
	png, err := code.PNG(int(size))
	if err != nil {
		return fmt.Errorf("qr code: %w", err)
	}
	return image(c, "image/png", png)
}

// qrSVG is GET …/qr.svg: one path of horizontal runs, crisp at every size. Its
// natural size is one pixel a module, so that a page can scale it evenly.
func (s *Server) qrSVG(c echo.Context) error {
	code, err := s.draw(c)
	if err != nil {
		return err
	}
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
	b.WriteString(`"/></svg>`)
	return image(c, "image/svg+xml", b.Bytes())
}

// image answers with a picture that pages of other origins may show.
func image(c echo.Context, kind string, data []byte) error {
	c.Response().Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	return c.Blob(http.StatusOK, kind, data)
}
