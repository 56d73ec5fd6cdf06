package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// Bounds of the wait of a long poll, in seconds. They are below the 60 s after
// which proxies end a request.
const (
	defaultWait = 25
	maxWait     = 55
)

// poll is GET …/poll?after=SEQ&wait=SECONDS.
func (s *Server) poll(c echo.Context) error {
	id, err := ticketID(c)
	if err != nil {
		return err
	}
	after, err := queryInt(c, "after", 0, 1<<53)
	if err != nil {
		return err
	}
	wait, err := queryInt(c, "wait", defaultWait, maxWait)
	if err != nil {
		return err
	}
	if err := bearer(c.Request(), id); err != nil {
		return s.auditDenied("poll", id, c.Request(), err)
	}
	release, authorize := func() {}, s.requireEnabled(s.checkOrigin(c))
	if wait > 0 {
		authorize = s.admitWaiter(c, &release)
	}
	defer func() { release() }()
	view, news, err := s.Hub.Poll(c.Request().Context(), id, after, time.Duration(wait)*time.Second, s.browser(c, authorize))
	if err != nil {
		return s.auditDenied("poll", id, c.Request(), err)
	}
	if !news {
		return c.NoContent(http.StatusNoContent)
	}
	return c.JSON(http.StatusOK, view)
}

// queryInt reads a whole number from 0 to max from the query; absent is its
// value if it is missing.
func queryInt(c echo.Context, name string, absent, max int64) (int64, error) {
	values, ok := c.QueryParams()[name]
	if !ok {
		return absent, nil
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || n < 0 || n > max || len(values) > 1 {
		return 0, invalid(name + ": a whole number from 0 to " + strconv.FormatInt(max, 10))
	}
	return n, nil
}
