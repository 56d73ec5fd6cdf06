package api

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/frontend"
	"loginhub/hub/ticket"
)

// csp is the pages' Content-Security-Policy (CSP level 3): nothing inline,
// nothing from elsewhere. 'self' includes the socket.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; frame-ancestors 'self'; form-action 'self'"

// page is GET /, the login page.
func (s *Server) page(c echo.Context) error {
	cfg := activeConfigOf(c)
	client := cfg.Clients[0]
	if id := c.QueryParam("client_id"); id != "" {
		if client = cfg.clients[id]; client == nil {
			return invalid("client_id: no such client")
		}
	}
	methods := cfg.loginMethods(client.ID)
	index := frontend.Index{Sandbox: cfg.Sandbox, Client: client.ID, PublicURL: s.Hub.Issuer, LaunchURL: methods.LaunchURL,
		Label: client.Label("zh"), LabelEn: client.Label("en"),
		WeChatWeb: methods.WebLogin != nil && client.AllowsProvider("wechat_web")}
	if !client.AllowsProvider("wechat") {
		index.LaunchURL = ""
	}
	h := c.Response().Header()
	h.Set("Content-Security-Policy", csp)
	if index.WeChatWeb {
		// Browsers apply form-action to where the form is redirected, too.
		h.Set("Content-Security-Policy", csp+" "+methods.WebLogin.Origin())
		// With no-referrer the form would be sent with "Origin: null".
		h.Set("Referrer-Policy", "same-origin")
	}
	allowFraming(h, client)
	return s.render(c, http.StatusOK, "index.html", index)
}

// landing is GET /s/{ticket}: what a scan outside the mini-program opens, and in
// the sandbox the phone itself.
func (s *Server) landing(c echo.Context) error {
	if s.VerifyName != "" && c.Param("ticket") == s.VerifyName {
		return c.String(http.StatusOK, s.VerifyText)
	}
	id, err := ticketID(c)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Content-Security-Policy", csp)
	denyFraming(h)
	if activeConfigOf(c).Sandbox {
		return s.render(c, http.StatusOK, "phone.html", frontend.Scan{Ticket: string(id)})
	}
	scan := frontend.Scan{Ticket: string(id)}
	if isPhone(c.Request().UserAgent()) {
		scan.LaunchURL = template.URL(strings.ReplaceAll(s.launchURL(c, id), "{ticket}", string(id)))
	}
	return s.render(c, http.StatusOK, "landing.html", scan)
}

// launchURL is the link that opens the mini-program of the ticket's client; ""
// where there is none, or it cannot be told. Only where clients differ is the
// ticket looked at.
func (s *Server) launchURL(c echo.Context, id ticket.ID) string {
	cfg := activeConfigOf(c)
	if len(cfg.LoginMethods) == 0 {
		return cfg.LaunchURL
	}
	t, err := s.Hub.Get(c.Request().Context(), id)
	if err == nil {
		_, err = cfg.clientOf(t)
	}
	if err != nil {
		return ""
	}
	return cfg.loginMethods(t.Client).LaunchURL
}

// isPhone reports whether a browser claims to be a phone's and not WeChat's own:
// that one cannot follow a link into WeChat.
func isPhone(agent string) bool {
	if strings.Contains(agent, "MicroMessenger") {
		return false
	}
	for _, word := range []string{"Android", "iPhone", "iPad", "Mobile"} {
		if strings.Contains(agent, word) {
			return true
		}
	}
	return false
}

func (s *Server) render(c echo.Context, status int, name string, data any) error {
	var b bytes.Buffer
	if err := s.templates.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	h := c.Response().Header()
	if h.Get("Content-Security-Policy") == "" {
		h.Set("Content-Security-Policy", csp)
		denyFraming(h)
	}
	h.Set("Permissions-Policy", permissionsPolicy)
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

// mimeTypes are the files that are served at all.
var mimeTypes = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png",
}

func newAssets(files fs.FS) (*assets, error) {
	a := &assets{files: map[string]asset{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		kind := mimeTypes[path.Ext(name)]
		if err != nil || d.IsDir() || kind == "" {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		a.files[name] = newAsset(kind, body)
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
	return file.serve(c)
}

func (file asset) serve(c echo.Context) error {
	h := c.Response().Header()
	h.Set("ETag", file.tag)
	h.Set("Cache-Control", "no-cache") // ask each time; the tag makes that cheap
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Content-Type", file.kind)
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(file.body))
	return nil
}
