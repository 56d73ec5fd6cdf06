package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/apidocs"
	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/api/visit"
	"loginhub/frontend"
	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// csp is the Content-Security-Policy of the pages (CSP level 3): nothing
// inline, nothing from other hosts. 'self' includes the WebSocket.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; frame-ancestors 'self'; form-action 'self'"

// page is GET /, the login page.
func (s *Server) page(c echo.Context) error {
	cfg := gate.ConfigOf(c)
	client := cfg.Clients[0]
	if id := c.QueryParam("client_id"); id != "" {
		if client = cfg.ClientByID[id]; client == nil {
			return request.Invalid("client_id: no such client")
		}
	}
	index := s.loginPage(c, client)
	allowFraming(c.Response().Header(), client)
	return s.render(c, http.StatusOK, "index.html", index)
}

// loginPage returns the data of a client's login page, and sets the page's headers.
func (s *Server) loginPage(c echo.Context, client *client.Client) frontend.Index {
	cfg := gate.ConfigOf(c)
	methods := cfg.MethodsOf(client.ID)
	index := frontend.Index{Sandbox: cfg.Sandbox, Client: client.ID, PublicURL: s.gate.Hub.Issuer(),
		Label: client.Label("zh"), LabelEn: client.Label("en"), Providers: providersOf(methods, client)}
	h, policy := c.Response().Header(), csp
	for _, p := range methods.Listed {
		if p.Redirect != nil && client.AllowsProvider(p.ID) {
			// Browsers apply form-action also to the redirect that answers the form.
			policy += " " + p.Redirect.Origin()
			// With no-referrer browsers send the form with "Origin: null".
			h.Set("Referrer-Policy", "same-origin")
		}
	}
	h.Set("Content-Security-Policy", policy)
	return index
}

// providersOf returns the providers that the client accepts.
func providersOf(methods gate.LoginMethods, client *client.Client) (all []frontend.Provider) {
	buttons := map[provider.Label]int{}
	for _, p := range methods.Listed {
		if !client.AllowsProvider(p.ID) {
			continue
		}
		d := frontend.Provider{ID: p.ID, Kind: p.Kind.Name, LabelZH: p.Label.ZH, LabelEN: p.Label.EN, Named: p.Display.ZH != ""}
		if p.Redirect != nil {
			d.Start, _ = visit.Paths(p)
			d.Desktop = p.DesktopPage
			buttons[p.Label]++
		}
		all = append(all, d)
	}
	for i, d := range all {
		all[i].Twin = d.Start != "" && buttons[provider.Label{ZH: d.LabelZH, EN: d.LabelEN}] > 1
	}
	return all
}

// landing is GET /s/{ticket}, which a scan outside of the mini-program opens, or the file
// by which WeChat checks who owns the address.
func (s *Server) landing(c echo.Context) error {
	if s.verifyName != "" && c.Param("ticket") == s.verifyName {
		return c.String(http.StatusOK, s.verifyText)
	}
	return s.consent.Landing(c)
}

// render answers with a page. Its headers forbid frames and caching, unless the
// handler has set a Content-Security-Policy.
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

// asset is one file with its media type and ETag.
type asset struct {
	kind, tag string
	body      []byte
}

// mimeTypes are the media types by extension. Other files are not served.
var mimeTypes = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png",
}

// newAssets reads all files of the known media types.
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

// serve is GET /assets/…. Sites load the client module from here, so all
// origins may read it.
func (a *assets) serve(c echo.Context) error {
	file, ok := a.files[c.Param("*")]
	if !ok {
		return errRoute
	}
	return file.serve(c)
}

// serve answers with the file, or with 304 if the ETag matches.
func (file asset) serve(c echo.Context) error {
	h := c.Response().Header()
	h.Set("ETag", file.tag)
	h.Set("Cache-Control", "no-cache") // revalidate each time; the ETag makes that cheap
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Content-Type", file.kind)
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(file.body))
	return nil
}

// newAsset returns a file with its ETag, a hash of the body.
func newAsset(kind string, body []byte) asset {
	sum := sha256.Sum256(body)
	return asset{kind, `"` + hex.EncodeToString(sum[:8]) + `"`, body}
}

// openAPISpec is the wire contract as OpenAPI 3.1, written by hand. The tests
// compare every answer with it, and it with the routes and the error table.
//
//go:embed openapi.yaml
var openAPISpec []byte

// openAPIDocuments parses at the first request: most nodes never serve one, and parsing is
// more work than the rest of their start.
var openAPIDocuments = sync.OnceValues(func() (apidocs.Documents, error) { return apidocs.Parse(openAPISpec) })

// openAPIJSON is GET /openapi.json.
func (s *Server) openAPIJSON(c echo.Context) error {
	d, err := openAPIDocuments()
	if err != nil {
		return err
	}
	return newAsset("application/json", d.JSON).serve(c)
}

// docs is GET /docs, the API description as a page.
func (s *Server) docs(c echo.Context) error {
	d, err := openAPIDocuments()
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "docs.html", d.Page)
}
