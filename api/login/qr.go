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
// the ticket, so the path names a client that has its own codes. A provider's
// code is a PNG, because some are not vector graphics.
func qrImage(cfg *gate.Config, client string, id ticket.ID) string {
	path := "/api/login/tickets/" + string(id) + "/qr."
	pictures := cfg.PicturesOf(client)
	if pictures != nil {
		path += "png"
	} else {
		path += "svg"
	}
	if _, own := cfg.LoginMethods[client]; own || pictures != cfg.PicturesOf("") {
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
func (l *Handlers) renderPNG(c echo.Context, text string, size int) (img []byte, err error) {
	err = l.renderLimiter.Run(c.Request().Context(), l.gate.Addr(c).RateKey, func() error {
		code, err := qr.New(text, l.qrLevel, gate.ConfigOf(c).QRLogo)
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

// QrPNG is GET …/qr.png?size=PIXELS. A provider's image ignores the size.
func (l *Handlers) QrPNG(c echo.Context) error {
	size, err := request.QueryInt(c, "size", defaultSize, maxSize)
	if err != nil || size < minSize {
		return request.Invalid(fmt.Sprintf("size: a whole number from %d to %d", minSize, maxSize))
	}
	id, client, err := l.parseQRRequest(c)
	if err != nil {
		return err
	}
	picture := l.picture(c, client, id)
	if picture.Image != nil {
		return sendImage(c, "image/png", picture.Image)
	}
	png, err := l.renderPNG(c, picture.Text, int(size))
	if err != nil {
		return err
	}
	return sendImage(c, "image/png", png)
}

// QrSVG is GET …/qr.svg. A provider's image is embedded as a PNG.
func (l *Handlers) QrSVG(c echo.Context) error {
	id, client, err := l.parseQRRequest(c)
	if err != nil {
		return err
	}
	picture := l.picture(c, client, id)
	if picture.Image != nil {
		return sendImage(c, "image/svg+xml", fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="430" height="430" viewBox="0 0 430 430">`+
			`<image width="430" height="430" href="data:image/png;base64,%s"/></svg>`, base64.StdEncoding.EncodeToString(picture.Image)))
	}
	code, err := qr.NewMarked(picture.Text, l.qrLevel, gate.ConfigOf(c).QRLogo)
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

// codeBackoff is how long a provider is not called after a refusal that only the
// operator can end.
const codeBackoff = time.Minute

// picture returns the code of a ticket: a provider's, or the text of the QR code if the
// client has none, if the ticket is not worth a call, or if the provider refuses.
func (l *Handlers) picture(c echo.Context, client string, id ticket.ID) provider.Picture {
	cfg := gate.ConfigOf(c)
	if cfg.PicturesOf(client) != nil {
		fetch := func(ctx context.Context) *provider.Picture { return l.fetchPicture(ctx, c, id) }
		if p := l.pictures.Get(c.Request().Context(), id, fetch); p != nil {
			return *p
		}
	}
	return provider.Picture{Text: qrText(cfg, client, id)}
}

// fetchPicture reads the ticket and asks the provider for its code.
func (l *Handlers) fetchPicture(ctx context.Context, c echo.Context, id ticket.ID) *provider.Picture {
	now := time.Now()
	if l.gate.Limits.Wxacodes.Allow(l.gate.Addr(c).RateKey, now) != nil {
		return nil
	}
	t, err := l.gate.Hub.Get(ctx, id)
	if err != nil || t.State != ticket.Pending {
		return nil
	}
	codes := gate.ConfigOf(c).PicturesOf(t.Client) // of the ticket's client, whatever client the request names
	if codes == nil || l.pictures.BackingOff(codes, now) {
		return nil
	}
	var picture provider.Picture
	err = l.gate.CallProvider(ctx, gate.ConfigOf(c), gate.Callee{Offer: codes, Call: "picture"}, func(ctx context.Context) (err error) {
		if picture, err = codes.Code(ctx, string(id)); err == nil && picture.Image != nil {
			picture.Image, err = qr.AsPNG(picture.Image)
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
		l.pictures.BackOff(codes, now.Add(backoff))
		l.gate.Log.WarnContext(ctx, "no QR code from the provider: the link is shown instead", "ticket", id, "client", t.Client, "retry_in", backoff, "error", err)
		return nil
	}
	return &picture
}
