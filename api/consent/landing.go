package consent

import (
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/api/visit"
	"loginhub/frontend"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Landing is GET /s/{ticket}, the link of the QR code, for every app that opens it in a
// browser. In an app in which a provider can identify the user, it goes on there; ?by=ID
// does so at that provider's page. Otherwise it says which apps can log in. In the sandbox
// it is the phone.
func (h *Handlers) Landing(c echo.Context) error {
	id, err := request.TicketID(c)
	if err != nil {
		return err
	}
	cfg := gate.ConfigOf(c)
	if cfg.Sandbox {
		return h.Render(c, http.StatusOK, "phone.html", frontend.Consent{Ticket: string(id), Facts: frontend.Facts{Same: "undefined"}})
	}
	site, t, err := h.read(c, cfg, id)
	if err != nil {
		return err
	}
	frame := c.QueryParam("f")
	if !ticket.IsFrame(frame) {
		frame = ""
	}
	page := frontend.Landing{Ticket: string(id), Frame: frame, QR: onDesktop(cfg, t, c.Request().UserAgent())}
	if t.ID == "" || !site.LinkLogin {
		return h.Render(c, http.StatusOK, "landing.html", h.describeApps(c, page, site))
	}
	if err := t.Precheck(ticket.Scan, ""); err != nil && h.proofOf(c, id) == nil {
		return err
	}
	if c.Request().Method == http.MethodGet {
		if h.proofOf(c, id) != nil {
			return c.Redirect(http.StatusSeeOther, "/s/"+string(id)+"/consent")
		}
		if p, v := h.way(c, site, t); p != nil {
			if err := h.gate.CheckFrame(t, site, frame); err != nil {
				return h.gate.AuditRefusal("open", t, c, err)
			}
			v.Fresh = true
			return h.leave(c, p, v)
		}
	}
	page.Opens = true
	return h.Render(c, http.StatusOK, "landing.html", h.describeApps(c, page, site))
}

// read returns the ticket and its client. Where no link leads to a login, a ticket that
// cannot be read has no ID, and a nil client means all: the page then says the same
// for every ticket.
func (h *Handlers) read(c echo.Context, cfg *gate.Config, id ticket.ID) (site *client.Client, t ticket.Ticket, err error) {
	links := slices.ContainsFunc(cfg.Clients, func(c *client.Client) bool { return c.LinkLogin })
	if len(cfg.Clients) == 1 && !links && !cfg.Clients[0].HasGrant(client.GrantDevice) {
		return cfg.Clients[0], t, nil
	}
	if t, err = h.gate.Hub.Get(c.Request().Context(), id); err == nil {
		site, err = cfg.ClientOf(t)
	}
	if err != nil && !links {
		return nil, ticket.Ticket{}, nil
	}
	return site, t, err
}

// way returns the provider to which this browser goes at once: that of the app in which
// it runs, or the one that the user has chosen.
func (h *Handlers) way(c echo.Context, site *client.Client, t ticket.Ticket) (*provider.Provider, visit.Visit) {
	v := visit.Visit{Ticket: t.ID, Client: t.Client, Consent: true}
	chosen, agent := c.QueryParam("by"), c.Request().UserAgent()
	methods := gate.ConfigOf(c).MethodsOf(site.ID)
	if by := methods.Find(t.Identity.Provider); t.State == ticket.Scanned && by != nil && by.Events != nil {
		return nil, v // the user who has scanned comes with the token of the account's message
	}
	for _, p := range methods.Listed {
		switch {
		case !site.AllowsProvider(p.ID):
		case chosen == "" && p.InApp != nil && p.InAgent != nil && p.InAgent(agent):
			v.InApp = true
			return p, v
		case chosen == p.ID && p.Redirect != nil:
			return p, v
		}
	}
	return nil, v
}

// leave sends the browser to the provider.
func (h *Handlers) leave(c echo.Context, p *provider.Provider, v visit.Visit) error {
	if err := h.gate.Hub.CheckEnabled(v.Client); err != nil {
		return err
	}
	if err := h.gate.Limits.WebLogins.Allow(h.gate.Addr(c).RateKey, time.Now()); err != nil {
		return err
	}
	return h.Visits.Begin(c, p, v)
}

// describeApps fills in which apps log in to the site, or to any site if it is nil, and
// the ways to go on from this browser.
func (h *Handlers) describeApps(c echo.Context, page frontend.Landing, site *client.Client) frontend.Landing {
	cfg, agent, lang := gate.ConfigOf(c), c.Request().UserAgent(), h.Language(c).Tag
	var names []string
	add := func(all []*provider.Provider) {
		for _, p := range all {
			if name := h.nameOf(p, p.ScanLabel(), lang); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if add(scanners(cfg, site)); len(names) == 0 {
		add(scanners(cfg, nil))
	}
	if len(names) == 0 {
		names = []string{h.Messages.Fill(lang, "landing", "siteApp")}
	}
	page.Apps = h.Messages.Join(lang, names, h.Messages.Fill(lang, "landing", "or"))
	if site == nil {
		return page
	}
	page.Brand = BrandOf(site, site.Label(lang))
	if in := slices.IndexFunc(cfg.Kinds, func(k provider.Kind) bool { return k.InAgent != nil && k.InAgent(agent) }); in >= 0 {
		app := &provider.Provider{Kind: cfg.Kinds[in]}
		if site.LinkLogin && !slices.Contains(names, h.nameOf(app, app.ScanLabel(), lang)) {
			page.In = h.nameOf(app, app.Label, lang)
		}
		return page // an app's browser opens no other app
	}
	page.Links = h.links(cfg, site, page, agent, lang)
	return page
}

// scanners returns the providers whose app opens the QR code of a site, or of any site if
// it is nil.
func scanners(cfg *gate.Config, site *client.Client) (all []*provider.Provider) {
	lists := []gate.LoginMethods{cfg.MethodsOf("")}
	if site != nil {
		lists = []gate.LoginMethods{cfg.MethodsOf(site.ID)}
	}
	for _, p := range lists[0].Listed {
		if site != nil && !site.AllowsProvider(p.ID) {
			continue
		}
		if p.Code != nil || p.Events != nil || p.InApp != nil && (site == nil || site.LinkLogin) {
			all = append(all, p)
		}
	}
	return all
}

// BrandOf returns the look of a client's pages. name is the client's in the page's language.
func BrandOf(site *client.Client, name string) frontend.Brand {
	if site == nil || site.Branding == nil {
		return frontend.Brand{}
	}
	b := site.Branding
	return frontend.Brand{Name: name, Logo: b.LogoPath(), Sheet: b.SheetPath(), Theme: b.Theme}
}

// links returns the ways to go on from a browser that belongs to no app: into an app, or
// to the page of a provider.
func (h *Handlers) links(cfg *gate.Config, site *client.Client, page frontend.Landing, agent, lang string) (links []frontend.Link) {
	id, from := ticket.ID(page.Ticket), ""
	if page.Frame != "" {
		from = "&f=" + page.Frame
	}
	phone := isPhone(agent)
	for _, p := range cfg.MethodsOf(site.ID).Listed {
		if !site.AllowsProvider(p.ID) {
			continue
		}
		if p.Launch != "" && phone {
			to := gate.LinkTo(p.Launch, id, page.Frame)
			links = append(links, frontend.Link{URL: template.URL(to), Text: h.Messages.Fill(lang, "landing", "open", "app", h.nameOf(p, p.Label, lang))})
		} else if p.Redirect != nil && site.LinkLogin && !p.DesktopPage {
			to := template.URL("/s/" + string(id) + "?by=" + p.ID + from)
			links = append(links, frontend.Link{URL: to, Text: h.Messages.Fill(lang, "landing", "connect", "app", h.nameOf(p, p.Label, lang))})
		}
	}
	if to := cfg.LaunchURLOf(site, id, page.Frame); to != "" && phone && !slices.ContainsFunc(links, func(l frontend.Link) bool { return string(l.URL) == to }) {
		links = append(links, frontend.Link{URL: template.URL(to), Text: h.Messages.Fill(lang, "landing", "openApp")})
	}
	return links
}

// onDesktop reports whether a person has typed a device's code on a computer. Then the page
// has the QR code, because the device shows none that the phone could scan.
func onDesktop(cfg *gate.Config, t ticket.Ticket, agent string) bool {
	app := slices.ContainsFunc(cfg.Kinds, func(k provider.Kind) bool { return k.InAgent != nil && k.InAgent(agent) })
	return t.Grant != nil && t.Grant.Type == ticket.GrantDevice && !isPhone(agent) && !app
}

// isPhone reports whether a User-Agent claims to be a phone's browser.
func isPhone(agent string) bool {
	return slices.ContainsFunc([]string{"Android", "iPhone", "iPad", "Mobile"}, func(word string) bool { return strings.Contains(agent, word) })
}
