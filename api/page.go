package api

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"

	"loginhub/api/apidocs"
	"loginhub/api/consent"
	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/api/visit"
	"loginhub/frontend"
	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// csp is the Content-Security-Policy of the pages (CSP level 3): nothing
// inline but the boot script, nothing from other hosts. 'self' includes the WebSocket.
var csp = "default-src 'none'; script-src 'self' " + frontend.BootSource() + "; style-src 'self'; img-src 'self' data:; " +
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
		Site: client.Label(languageOf(s.pages, c).Tag), Label: client.Label("zh"), LabelEn: client.Label("en"), Providers: providersOf(methods, client)}
	index.Brand = consent.BrandOf(client, index.Site)
	index.Messages = s.pages.LoginMessages(languageOf(s.pages, c).Tag, client.ReplacedTexts())
	h, policy := c.Response().Header(), allowPictures(csp, cfg.PictureHosts(client))
	for _, p := range methods.Listed {
		if p.Redirect != nil && client.AllowsProvider(p.ID) {
			// Browsers apply form-action also to the redirect that answers the form.
			policy = allowForm(policy, p.Redirect.Origin())
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
	if err := s.pages.Execute(&b, languageOf(s.pages, c).Tag, name, data); err != nil {
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

// localesKey is the context's key for the languages that an authorization request asks for.
const localesKey = "ui_locales"

// languageOf returns the language of a page: by the query's lang, then by the site's wish, then by the
// browser's.
func languageOf(pages *frontend.Pages, c echo.Context) frontend.Language {
	locales, _ := c.Get(localesKey).(string)
	return pages.Choose(c.QueryParam("lang"), locales, c.Request().Header.Get("Accept-Language"))
}

// openAPISpec is the wire contract as OpenAPI 3.1, written by hand. The tests
// compare every answer with it, and it with the routes and the error table.
//
//go:embed openapi.yaml
var openAPISpec []byte

// asyncAPISpec is the socket's wire contract as AsyncAPI 3.0, written by hand.
//
//go:embed asyncapi.yaml
var asyncAPISpec []byte

// openAPIDocuments parses at the first request: most nodes never serve one, and parsing is
// more work than the rest of their start.
var openAPIDocuments = sync.OnceValues(func() (apidocs.Documents, error) { return apidocs.Parse(openAPISpec) })

// openAPIYAML is GET /openapi.yaml.
func openAPIYAML(c echo.Context) error { return serveAsset(c, specYAML(), cacheRevalidate) }

// asyncAPIYAML is GET /asyncapi.yaml.
func asyncAPIYAML(c echo.Context) error { return serveAsset(c, socketYAML(), cacheRevalidate) }

// openAPIJSON is GET /openapi.json.
func openAPIJSON(c echo.Context) error {
	spec, err := specJSON()
	if err != nil {
		return err
	}
	return serveAsset(c, spec, cacheRevalidate)
}

// The API descriptions, made at the first request.
var (
	socketYAML = sync.OnceValue(func() frontend.Asset { return frontend.NewAsset("application/yaml", asyncAPISpec) })

	specYAML = sync.OnceValue(func() frontend.Asset { return frontend.NewAsset("application/yaml", openAPISpec) })
	specJSON = sync.OnceValues(func() (frontend.Asset, error) {
		d, err := openAPIDocuments()
		return frontend.NewAsset("application/json", d.JSON), err
	})
)

// docs is GET /docs, the API description as a page.
func (s *Server) docs(c echo.Context) error {
	d, err := openAPIDocuments()
	if err != nil {
		return err
	}
	page := d.Page
	page.PublicURL = s.gate.PublicURL
	if page.Client, err = s.clientPackage(); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "docs.html", page)
}
