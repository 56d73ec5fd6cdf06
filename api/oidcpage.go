package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/oidc"
	"loginhub/api/request"
	"loginhub/api/visit"
	"loginhub/frontend"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// formsAnywhere is the directive of csp for a page that posts a form to a site. Browsers
// apply it also to the redirects that answer the form, and only the site knows those.
const formsAnywhere = "form-action 'self' https: http:"

// authorizePage answers with the login page of an authorization request. No other site
// may frame it: a person decides there where the login goes.
func (s *Server) authorizePage(c echo.Context, p oidc.Page) error {
	c.Set(localesKey, strings.Join(strings.Fields(p.Locales), ","))
	site := gate.ConfigOf(c).ClientByID[p.ClientID]
	index := s.loginPage(c, site)
	index.Request, index.Host = p.Request, p.Host
	if app := appOf(c, site); app != nil {
		index.InApp, _ = visit.Paths(app)
		h := c.Response().Header()
		h.Set("Content-Security-Policy", allowForm(h.Get("Content-Security-Policy"), app.InApp.Origin()))
		h.Set("Referrer-Policy", "same-origin") // with no-referrer browsers send the form with "Origin: null"
	}
	if p.FormPost {
		h := c.Response().Header()
		policy, _, _ := strings.Cut(h.Get("Content-Security-Policy"), "form-action ")
		h.Set("Content-Security-Policy", policy+formsAnywhere)
	}
	denyFraming(c.Response().Header())
	return s.render(c, http.StatusOK, "index.html", index)
}

// appOf returns the provider inside whose app the browser is, if the client accepts it
// and it has a way in there; nil otherwise.
func appOf(c echo.Context, site *client.Client) *provider.Provider {
	for _, p := range gate.ConfigOf(c).MethodsOf(site.ID).Listed {
		if site.AllowsProvider(p.ID) && p.OpensIn(c.Request().UserAgent()) {
			return p
		}
	}
	return nil
}

// goOn sends the browser to its site with the answer of the login.
func (s *Server) goOn(c echo.Context, answer ticket.Answer) error {
	if answer.FormPost == nil {
		return c.Redirect(http.StatusSeeOther, answer.RedirectTo)
	}
	h := c.Response().Header()
	policy, _, _ := strings.Cut(csp, "form-action ")
	h.Set("Content-Security-Policy", policy+formsAnywhere)
	denyFraming(h)
	return s.render(c, http.StatusOK, "continue.html", frontend.Form{Action: answer.FormPost.Action, Fields: answer.FormPost.Fields})
}

// authorizeFailed answers with the error page of an authorization request.
func (s *Server) authorizeFailed(c echo.Context, status int, code, title, detail string) error {
	return s.render(c, status, "error.html", frontend.Failure{Status: status, Code: code, Title: title, Detail: detail, RequestID: request.ID(c)})
}

// devicePage answers with the page where a device's code is typed. The consent page that
// follows may send the browser on to a provider, and form-action applies there too.
func (s *Server) devicePage(c echo.Context, status int, code string) error {
	h := c.Response().Header()
	policy, _, _ := strings.Cut(csp, "form-action ")
	h.Set("Content-Security-Policy", policy+formsAnywhere)
	denyFraming(h)
	h.Set("Referrer-Policy", "same-origin") // with no-referrer browsers send the form with "Origin: null"
	return s.render(c, status, "device.html", frontend.Device{Code: code, Wrong: status != http.StatusOK})
}

// logoutPage answers with the page of a logout. Its form may be answered by a redirect to
// the site.
func (s *Server) logoutPage(c echo.Context, p oidc.LogoutPage) error {
	h := c.Response().Header()
	policy, _, _ := strings.Cut(csp, "form-action ")
	h.Set("Content-Security-Policy", policy+formsAnywhere)
	denyFraming(h)
	page := frontend.Logout{Ask: p.Ask, Fields: p.Fields}
	if p.Site != nil {
		page.Label = p.Site.Label(languageOf(s.pages, c).Tag)
	}
	return s.render(c, http.StatusOK, "logout.html", page)
}

// oauthError answers an error of an OAuth endpoint in its own form (RFC 6749, section
// 5.2), if the route is one. Pages and routes that do not exist have no such form.
func (s *Server) oauthError(err error, c echo.Context) (done bool) {
	if !oidc.AnswersJSON(c.Path()) || isFramework(err) {
		return false
	}
	answer, known := oidc.AsError(err)
	if !known {
		s.logInternal(err, c)
	}
	s.metrics.IncRefusal(answer.Code)
	if err := oidc.WriteError(c, answer, err); err != nil {
		s.gate.Log.DebugContext(c.Request().Context(), "answer not delivered", "error", err)
	}
	s.refusals.note(c, c.Response().Status, answer.Code)
	return true
}
