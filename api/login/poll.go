package login

import (
	"net/http"
	"time"

	"loginhub/api/request"

	"github.com/labstack/echo/v4"
)

// Bounds of the wait of a long poll, in seconds. They are below the 60 s after
// which proxies end a request.
const (
	defaultWait = 25
	maxWait     = 55
)

// Poll is GET …/poll?after=SEQ&wait=SECONDS.
func (l *Handlers) Poll(c echo.Context) error {
	id, err := request.TicketID(c)
	if err != nil {
		return err
	}
	after, err := request.QueryInt(c, "after", 0, 1<<53)
	if err != nil {
		return err
	}
	wait, err := request.QueryInt(c, "wait", defaultWait, maxWait)
	if err != nil {
		return err
	}
	if err := request.CheckBearer(c.Request(), id); err != nil {
		return l.gate.AuditDenied("poll", id, c, err)
	}
	release, authorize := func() {}, l.gate.RequireEnabled(l.gate.CheckOrigin(c))
	if wait > 0 {
		authorize = l.gate.AdmitWaiter(c, &release)
	}
	defer func() { release() }()
	view, news, err := l.gate.Hub.Poll(c.Request().Context(), id, after, time.Duration(wait)*time.Second, l.gate.Browser(c, authorize))
	if err != nil {
		return l.gate.AuditDenied("poll", id, c, err)
	}
	if !news {
		return c.NoContent(http.StatusNoContent)
	}
	return c.JSON(http.StatusOK, view)
}
