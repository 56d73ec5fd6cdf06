package login

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/qr"
	"loginhub/api/request"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Bounds of a PNG's edge in pixels.
const (
	defaultSize = 256
	minSize     = 128
	maxSize     = 1024
)

// qrText returns the content of the QR code. It does not read Redis.
func qrText(cfg *gate.Config, client string, id ticket.ID) string {
	return strings.ReplaceAll(cfg.MethodsOf(client).QR, "{ticket}", string(id))
}

// qrImage returns the path of the code's picture. The endpoint does not read
// the ticket, so the path names a client that has its own codes. A mini-program
// code is a PNG, because it is not a vector graphic.
func qrImage(cfg *gate.Config, client string, id ticket.ID) string {
	path := "/api/login/tickets/" + string(id) + "/qr."
	if cfg.MethodsOf(client).MiniProgramCodes != nil {
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
func (l *Handlers) parseQRRequest(c echo.Context) (ticket.ID, string, error) {
	id, err := request.TicketID(c)
	if err != nil {
		return "", "", err
	}
	client := c.QueryParam("client_id")
	if client == "" || gate.ConfigOf(c).ClientByID[client] != nil {
		return id, client, nil
	}
	return "", "", l.gate.RefuseUnlessUnknown(c, id, request.Invalid("client_id: unknown client"))
}

// renderPNG returns the code as a PNG. It waits for a slot of the RenderLimiter
// and frees it before the answer is sent.
func (l *Handlers) renderPNG(c echo.Context, client string, id ticket.ID, size int) (img []byte, err error) {
	r, cfg := c.Request(), gate.ConfigOf(c)
	err = l.renderLimiter.Run(r.Context(), l.gate.Addr(c).RateKey, func() error {
		code, err := qr.New(qrText(cfg, client, id), l.qrLevel, cfg.QRLogo)
		if err != nil {
			return err
		}
		if smallest := code.MinSize(); size < smallest {
			return request.Invalid(fmt.Sprintf("size: at least %d for this code, otherwise it cannot be read", smallest))
		}
		img, err = code.PNG(size)
		return err
	})
	return img, err
}

// QrPNG is GET …/qr.png?size=PIXELS. A mini-program code ignores the size.
func (l *Handlers) QrPNG(c echo.Context) error {
	size, err := request.QueryInt(c, "size", defaultSize, maxSize)
	if err != nil || size < minSize {
		return request.Invalid(fmt.Sprintf("size: a whole number from %d to %d", minSize, maxSize))
	}
	id, client, err := l.parseQRRequest(c)
	if err != nil {
		return err
	}
	if wxacode := l.wxacodePNG(c, client, id); wxacode != nil {
		return sendImage(c, "image/png", wxacode)
	}
	png, err := l.renderPNG(c, client, id, int(size))
	if err != nil {
		return err
	}
	return sendImage(c, "image/png", png)
}

// QrSVG is GET …/qr.svg. A mini-program code is embedded as a PNG.
func (l *Handlers) QrSVG(c echo.Context) error {
	id, client, err := l.parseQRRequest(c)
	if err != nil {
		return err
	}
	if wxacode := l.wxacodePNG(c, client, id); wxacode != nil {
		return sendImage(c, "image/svg+xml", fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="430" height="430" viewBox="0 0 430 430">`+
			`<image width="430" height="430" href="data:image/png;base64,%s"/></svg>`, base64.StdEncoding.EncodeToString(wxacode)))
	}
	cfg := gate.ConfigOf(c)
	code, err := qr.New(qrText(cfg, client, id), l.qrLevel, cfg.QRLogo)
	if err != nil {
		return err
	}
	return sendImage(c, "image/svg+xml", code.SVG())
}

// sendImage answers with a picture that pages of other origins may show.
func sendImage(c echo.Context, kind string, data []byte) error {
	c.Response().Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	return c.Blob(http.StatusOK, kind, data)
}

// codeBackoff is how long WeChat is not called after a refusal that only the
// operator can end.
const codeBackoff = time.Minute

// wxacodePNG returns the mini-program code of a ticket as a PNG. It returns nil
// if the client has none, if the ticket is not worth a call, or if WeChat
// refuses. The caller then renders a QR code with the link.
func (l *Handlers) wxacodePNG(c echo.Context, client string, id ticket.ID) []byte {
	if gate.ConfigOf(c).MethodsOf(client).MiniProgramCodes == nil {
		return nil
	}
	return l.wxacodes.Get(c.Request().Context(), id, func(ctx context.Context) []byte { return l.fetchWxacode(ctx, c, id) })
}

// fetchWxacode reads the ticket and asks WeChat for its code.
func (l *Handlers) fetchWxacode(ctx context.Context, c echo.Context, id ticket.ID) []byte {
	now := time.Now()
	if l.gate.Limits.Wxacodes.Allow(l.gate.Addr(c).RateKey, now) != nil {
		return nil
	}
	t, err := l.gate.Hub.Get(ctx, id)
	if err != nil || t.State != ticket.Pending {
		return nil
	}
	codes := gate.ConfigOf(c).MethodsOf(t.Client).MiniProgramCodes // of the ticket's client, whatever client the request names
	if codes == nil || l.wxacodes.BackingOff(codes, now) {
		return nil
	}
	var picture []byte
	err = l.gate.Limits.Call(ctx, gate.ConfigOf(c).ProviderSlots[codes], func(ctx context.Context) (err error) {
		if picture, err = codes.Code(ctx, string(id)); err == nil {
			picture, err = qr.AsPNG(picture)
		}
		return err
	})
	if err != nil {
		backoff := time.Second
		var retry *provider.RetryError
		switch {
		case errors.As(err, &retry):
			backoff = min(retry.After, codeBackoff)
		case errors.Is(err, provider.ErrProviderMisconfigured):
			backoff = codeBackoff
		}
		l.wxacodes.BackOff(codes, now.Add(backoff))
		l.gate.Log.Warn("no mini-program code: the link is shown instead", "ticket", id, "client", t.Client, "retry_in", backoff, "error", err)
		return nil
	}
	return picture
}
