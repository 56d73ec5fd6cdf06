package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"

	"github.com/labstack/echo/v4"

	"loginhub/frontend"
)

// policy is the pages' Content-Security-Policy (CSP level 3): nothing inline,
// nothing from elsewhere. 'self' includes the socket.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

// page is GET /, the login page.
func (s *Server) page(c echo.Context) error {
	client := s.Clients[0]
	if id := c.QueryParam("client_id"); id != "" {
		if client = s.clients[id]; client == nil {
			return invalid("client_id: no such client")
		}
	}
	return s.render(c, http.StatusOK, "index.html", frontend.Index{Sandbox: s.Sandbox, Client: client.ID,
		Label: client.Label("zh"), LabelEn: client.Label("en"), PublicURL: s.Hub.Issuer})
}

// landing is GET /s/{ticket}: what a scan outside the mini-program opens, and in
// the sandbox the phone itself.
func (s *Server) landing(c echo.Context) error {
	id, err := ticketID(c)
	if err != nil {
		return err
	}
	name := "landing.html"
	if s.Sandbox {
		name = "phone.html"
	}
	return s.render(c, http.StatusOK, name, frontend.Scan{Ticket: string(id)})
}

func (s *Server) render(c echo.Context, status int, name string, data any) error {
	var b bytes.Buffer
	if err := s.templates.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	h := c.Response().Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	return c.HTMLBlob(status, b.Bytes())
}

// assets are the files that the pages load.
type assets struct {
	files map[string]asset // by path below /assets/
}

type asset struct {
	kind, tag string
	body      []byte
}

// kinds are the files that are served at all.
var kinds = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png",
}

func newAssets(files fs.FS) (*assets, error) {
	a := &assets{files: map[string]asset{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		kind := kinds[path.Ext(name)]
		if err != nil || d.IsDir() || kind == "" {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		a.files[name] = asset{kind, `"` + hex.EncodeToString(sum[:8]) + `"`, body}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	return a, nil
}

// serve is GET /assets/…. Sites load the client from here, hence for all origins.
func (a *assets) serve(c echo.Context) error {
	file, ok := a.files[c.Param("*")]
	if !ok {
		return errRoute
	}
	h := c.Response().Header()
	h.Set("ETag", file.tag)
	h.Set("Cache-Control", "no-cache") // ask each time; the tag makes that cheap
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if c.Request().Header.Get("If-None-Match") == file.tag {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, file.kind, file.body)
}
