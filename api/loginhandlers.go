package api

import (
	"runtime"

	"loginhub/api/gate"
	"loginhub/api/qr"
)

// loginHandlers are the endpoints of a ticket.
type loginHandlers struct {
	*gate.Gate
	qrLevel       string // error correction level: L, M, Q or H; "" is M
	wxacodes      *qr.WxacodeCache
	renderLimiter *qr.RenderLimiter
}

// newLoginHandlers returns the endpoints. Half of the cores draw codes; onBusy is
// called for each code that is refused, and must not block.
func newLoginHandlers(g *gate.Gate, qrLevel string, onBusy func()) *loginHandlers {
	l := &loginHandlers{Gate: g, qrLevel: qrLevel, wxacodes: qr.NewWxacodeCache(), renderLimiter: qr.NewRenderLimiter(runtime.GOMAXPROCS(0))}
	l.renderLimiter.OnReject = onBusy
	return l
}
