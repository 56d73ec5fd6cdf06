package login

import (
	"runtime"

	"loginhub/api/gate"
	"loginhub/api/qr"
)

// Handlers are the endpoints of a ticket.
type Handlers struct {
	gate          *gate.Gate
	qrLevel       string // error correction level: L, M, Q or H; "" is M
	wxacodes      *qr.WxacodeCache
	RenderLimiter *qr.RenderLimiter
}

// New returns the endpoints. Half of the cores draw codes; onBusy is
// called for each code that is refused, and must not block.
func New(g *gate.Gate, qrLevel string, onBusy func()) *Handlers {
	l := &Handlers{gate: g, qrLevel: qrLevel, wxacodes: qr.NewWxacodeCache(), RenderLimiter: qr.NewRenderLimiter(runtime.GOMAXPROCS(0))}
	l.RenderLimiter.OnReject = onBusy
	return l
}
