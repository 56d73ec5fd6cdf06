package login

import (
	"runtime"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/qr"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// Handlers are the endpoints of a ticket.
type Handlers struct {
	gate          *gate.Gate
	qrLevel       string // error correction level: L, M, Q or H; "" is M
	pictures      *qr.PictureCache
	renderLimiter *qr.RenderLimiter
	// TicketRequest returns the client and the grant of an authorization request, as its
	// page sends it. Set it before the first request.
	TicketRequest func(c echo.Context, request string) (*client.Client, *ticket.Grant, error)
	// ClientRefused counts a wrong secret of the configured client that was named; "" for
	// none. Set it before the first request.
	ClientRefused func(client string)
}

// New returns the endpoints. onBusy is called for each code that is refused, and must not
// block. A nil limiter lets half of the cores draw codes.
func New(g *gate.Gate, qrLevel string, limiter *qr.RenderLimiter, onBusy func()) *Handlers {
	if limiter == nil {
		limiter = qr.NewRenderLimiter(runtime.GOMAXPROCS(0))
	}
	limiter.OnReject = onBusy
	return &Handlers{gate: g, qrLevel: qrLevel, pictures: qr.NewPictureCache(), renderLimiter: limiter}
}
