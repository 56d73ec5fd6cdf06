package bare

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"
)

// hub is one bare node.
type hub struct {
	redis   *redis.Client
	mailbox string

	mu    sync.Mutex
	pages map[string]*websocket.Conn
}

// Serve runs one bare node at address until ctx ends. Its Redis is at redisAddr.
func Serve(ctx context.Context, address, redisAddr string) error {
	h := &hub{redis: redis.NewClient(&redis.Options{Addr: redisAddr}), mailbox: "mailbox:" + rand.Text(), pages: map[string]*websocket.Conn{}}
	defer h.redis.Close()
	sub := h.redis.Subscribe(ctx, h.mailbox)
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		return err
	}
	go h.listen(ctx, sub)
	e := echo.New()
	e.GET("/readyz", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	e.POST("/api/login/tickets", h.make)
	e.GET("/api/login/tickets/:id/ws", h.wait)
	e.POST("/api/login/tickets/:id/scan", h.phone("scanned", 2))
	e.POST("/api/login/tickets/:id/confirm", h.phone("confirmed", 3))
	server := &http.Server{Addr: address, Handler: e, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (h *hub) make(c echo.Context) error {
	id, ctx := rand.Text(), c.Request().Context()
	pipe := h.redis.Pipeline()
	pipe.HSet(ctx, id, "state", "pending")
	pipe.Expire(ctx, id, time.Hour)
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, map[string]string{"ticket": id, "secret": rand.Text()})
}

// wait holds the page's socket and reads its ack.
func (h *hub) wait(c echo.Context) error {
	id, ctx := c.Param("id"), c.Request().Context()
	conn, err := websocket.Accept(c.Response(), c.Request(), &websocket.AcceptOptions{Subprotocols: []string{"loginhub.v1"}})
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	h.mu.Lock()
	h.pages[id] = conn
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.pages, id)
		h.mu.Unlock()
	}()
	pipe := h.redis.Pipeline()
	pipe.HSet(ctx, id, "mailbox", h.mailbox)
	pipe.HGet(ctx, id, "state")
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"state":"pending","seq":1}`)); err != nil {
		return err
	}
	if _, _, err := conn.Read(ctx); err != nil { // the ack
		return err
	}
	if err := h.redis.HSet(ctx, id, "state", "consumed").Err(); err != nil {
		return err
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"state":"consumed","seq":4}`)); err != nil {
		return err
	}
	return conn.Close(websocket.StatusNormalClosure, "")
}

// phone reads the ticket, changes it and publishes to the node that holds the page.
func (h *hub) phone(state string, seq int) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, ctx := c.Param("id"), c.Request().Context()
		var body struct{ Provider, Code string }
		if err := c.Bind(&body); err != nil {
			return err
		}
		found, err := h.redis.HGetAll(ctx, id).Result()
		if err != nil || found["mailbox"] == "" {
			return fmt.Errorf("%s: %v %w", id, found, err)
		}
		pipe := h.redis.Pipeline()
		pipe.HSet(ctx, id, "state", state)
		pipe.Publish(ctx, found["mailbox"], id+" "+state)
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, map[string]any{"state": state, "seq": seq})
	}
}

// listen passes the messages of the mailbox to the waiting sockets.
func (h *hub) listen(ctx context.Context, sub *redis.PubSub) {
	scanned := []byte(`{"state":"scanned","seq":2}`)
	confirmed := []byte(`{"state":"confirmed","seq":3,"token":"` + strings.Repeat("x", 400) + `"}`) // as long as a token
	for {
		m, err := sub.ReceiveMessage(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			continue
		}
		id, state, _ := strings.Cut(m.Payload, " ")
		h.mu.Lock()
		conn := h.pages[id]
		h.mu.Unlock()
		if conn == nil {
			continue
		}
		view := scanned
		if state == "confirmed" {
			view = confirmed
		}
		conn.Write(ctx, websocket.MessageText, view) // loginbench counts pages that are gone
	}
}
