package consent

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/login"
	"loginhub/api/request"
	"loginhub/api/visit"
	"loginhub/frontend"
	"loginhub/hub"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// proofLife is how long a browser may decide; the ticket's own deadline ends most earlier.
const proofLife = 10 * time.Minute

// Options configure a Handlers.
type Options struct {
	Visits *visit.Visits
	States gate.StateStore
	// Render answers with a page.
	Render func(c echo.Context, status int, page string, data any) error
	// Language returns the language of a page, which is one of Messages.
	Language func(c echo.Context) frontend.Language
	Messages *frontend.Catalogue
}

// Handlers are the pages behind the QR code's link.
type Handlers struct {
	gate *gate.Gate
	Options
}

// New returns the pages behind the QR code's link.
func New(g *gate.Gate, o Options) *Handlers { return &Handlers{g, o} }

// proof says that the provider has identified the user of this browser. The browser keeps
// it in a cookie, sealed for one ticket.
type proof struct {
	By     provider.Identity `json:"by"`
	Client string            `json:"client"`
	CSRF   string            `json:"csrf"`
	Until  time.Time         `json:"until"`
}

// Return answers a browser that comes back from its provider: a scan, never a confirm. A
// user who has declined there changes nothing, because anyone can open a link.
func (h *Handlers) Return(c echo.Context, p *provider.Provider, r visit.Return) error {
	if r.Declined() {
		return h.Render(c, http.StatusOK, "weblogin.html", frontend.WebLoginResult{})
	}
	call, err := h.gate.RunCall(c, &gate.Admission{PhoneCall: hub.PhoneCall{Action: ticket.Scan, Ticket: r.Ticket, Provider: p.ID},
		Exchanger: r.Redirector(p), Code: r.Code, Client: r.Client, Visit: h.Visits.Credential(p, r).Visit, FrameChecked: r.Fresh})
	if err != nil {
		return err
	}
	return h.admit(c, r.Ticket, r.Client, call.Current().Identity)
}

// admit gives the browser its proof and shows it the consent page.
func (h *Handlers) admit(c echo.Context, id ticket.ID, client string, by provider.Identity) error {
	text, err := json.Marshal(proof{By: by, Client: client, CSRF: rand.Text(), Until: h.States.Now().Add(proofLife)})
	if err != nil {
		return fmt.Errorf("encode proof: %w", err)
	}
	value := base64.RawURLEncoding.EncodeToString(h.States.Seal(proofName(id), text))
	c.SetCookie(h.gate.NewCookie(cookieName(id), value, int(proofLife/time.Second)))
	return c.Redirect(http.StatusSeeOther, "/s/"+string(id)+"/consent")
}

// proofName binds a proof to its ticket.
func proofName(id ticket.ID) string { return "consent:" + string(id) }

// cookieName differs by ticket, so that two pages do not overwrite each other's cookie.
func cookieName(id ticket.ID) string { return "consent-" + id.Short() }

// proofOf returns the browser's proof for a ticket; nil if it has none.
func (h *Handlers) proofOf(c echo.Context, id ticket.ID) *proof {
	cookie, err := c.Request().Cookie(h.gate.CookieName(cookieName(id)))
	if err != nil || h.States == nil {
		return nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return nil
	}
	var held proof
	text := h.States.Open(proofName(id), sealed)
	if text == nil || json.Unmarshal(text, &held) != nil || !h.States.Now().Before(held.Until) {
		return nil
	}
	return &held
}

// Page is GET /s/{ticket}/consent: who asks, and the two buttons; after the decision, what
// has become of it. It changes nothing.
func (h *Handlers) Page(c echo.Context) error {
	id, err := request.TicketID(c)
	if err != nil {
		return err
	}
	held := h.proofOf(c, id)
	if held == nil {
		return fmt.Errorf("no proof: %w", visit.ErrStateForeign)
	}
	t, err := h.gate.Hub.Get(c.Request().Context(), id)
	if err != nil {
		return err
	}
	if _, err := gate.ConfigOf(c).ClientOf(t); err != nil {
		return err
	}
	page := frontend.Consent{Ticket: string(id), Screen: screenOf(t, held.By)}
	site := gate.ConfigOf(c).ClientByID[t.Client]
	page.Brand = BrandOf(site, site.Label(h.Language(c).Tag))
	if page.Screen == "consent" {
		if err := h.describe(c, &page, t, held); err != nil {
			return err
		}
	}
	// With no-referrer browsers send the form with "Origin: null".
	c.Response().Header().Set("Referrer-Policy", "same-origin")
	return h.Render(c, http.StatusOK, "consent.html", page)
}

// describe fills in who asks, and what the user decides with.
func (h *Handlers) describe(c echo.Context, page *frontend.Consent, t ticket.Ticket, held *proof) (err error) {
	info := login.Describe(c, h.gate, t, h.Language(c).Tag)
	page.Facts = frontend.Facts{Client: info.Client, Hosts: strings.Join(info.Hosts, ", "), IP: info.IP, Place: info.Place, Same: "undefined",
		Browser: info.Browser, OS: info.OS, Requested: info.RequestedAt.Format(time.RFC3339), Device: info.Device}
	switch { // as in frontend/page/risk.js
	case info.FarAway:
		page.Risk = "farStrong"
	case info.AddressWarning:
		page.Risk = "networkStrong"
	}
	if info.SameIP != nil {
		page.Same = fmt.Sprint(*info.SameIP)
	}
	page.CSRF, page.Seconds = held.CSRF, ticket.Seconds(h.gate.Hub.Remaining(t))
	page.As = h.as(c, t, held.By)
	page.Choices, err = h.gate.Hub.Keys().MatchChoices(t)
	return err
}

// as says who logs in: by the name that the provider vouches for, otherwise by the
// provider's.
func (h *Handlers) as(c echo.Context, t ticket.Ticket, by provider.Identity) string {
	lang := h.Language(c).Tag
	if by.Nickname != "" {
		return h.Messages.Fill(lang, "phone", "as", "name", by.Nickname)
	}
	name := by.Provider
	if p := gate.ConfigOf(c).MethodsOf(t.Client).Find(by.Provider); p != nil {
		name = h.nameOf(p, p.Label, lang)
	}
	return h.Messages.Fill(lang, "phone", "asProvider", "provider", name)
}

// nameOf returns what people call a provider or its app: the label of the configuration or the kind, which is
// Chinese or English, or the catalogue's name in the other languages.
func (h *Handlers) nameOf(p *provider.Provider, label provider.Label, lang string) string {
	name := h.Messages.AppName(lang, p.Kind.Name)
	switch own := p.Display.ZH != "" || name == ""; {
	case lang == "zh-CN", lang == "zh-TW" && own:
		return label.ZH
	case lang == "en" || own:
		return label.EN
	}
	return name
}

// screenOf returns what a user sees of the ticket: consent, or the key of a text.
func screenOf(t ticket.Ticket, by provider.Identity) string {
	same := t.Identity.Same(by)
	switch {
	case t.State == ticket.Scanned && same:
		return "consent"
	case t.State == ticket.Scanned:
		return "taken"
	case t.State == ticket.Rejected && t.Reason == ticket.ReasonWrongNumber:
		return "mismatch"
	case t.State == ticket.Rejected && t.Reason == ticket.ReasonCancelled:
		return "cancelled"
	case t.State == ticket.Rejected && same:
		return "rejected"
	case t.State == ticket.Rejected:
		return "withdrawn"
	case t.WasConfirmed() && same:
		return "confirmed"
	case t.State == ticket.Expired:
		return "expired"
	}
	return "closed"
}

// Confirm is POST /s/{ticket}/confirm, the button of the consent page.
func (h *Handlers) Confirm(c echo.Context) error { return h.decide(c, ticket.Confirm) }

// Reject is POST /s/{ticket}/reject.
func (h *Handlers) Reject(c echo.Context) error { return h.decide(c, ticket.Reject) }

func (h *Handlers) decide(c echo.Context, action ticket.Action) error {
	form, err := request.ReadForm(c, "csrf", "match")
	if err != nil {
		return err
	}
	id, err := request.TicketID(c)
	if err != nil {
		return err
	}
	held := h.proofOf(c, id)
	if held == nil || subtle.ConstantTimeCompare([]byte(held.CSRF), []byte(form.Get("csrf"))) != 1 || !h.ownOrigin(c.Request()) {
		return h.gate.AuditRefusal("consent", ticket.Ticket{ID: id}, c, fmt.Errorf("no proof, or another page's form: %w", visit.ErrStateForeign))
	}
	match := form.Get("match")
	if len(match) > 2 {
		return request.Invalid("match: two digits")
	}
	p := gate.ConfigOf(c).MethodsOf(held.Client).Find(held.By.Provider)
	if p == nil {
		return request.Invalid("provider: this client does not accept it")
	}
	held.By.Token = &p.Kind.Token
	_, err = h.gate.RunCall(c, &gate.Admission{PhoneCall: hub.PhoneCall{Action: action, Ticket: id, Provider: p.ID, Match: match},
		By: held.By, Client: held.Client})
	if err != nil && !shown(err) {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/s/"+string(id)+"/consent?lang="+h.Language(c).Tag)
}

// ownOrigin reports whether a form comes from a page of the hub. A few apps' browsers
// send no Origin with a form to the page's own site.
func (h *Handlers) ownOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	return len(origins) == 0 || len(origins) == 1 && origins[0] == h.gate.PublicURL
}

// shown reports whether the consent page shows the outcome of the error itself.
func shown(err error) bool {
	for _, known := range []error{ticket.ErrMatchFailed, ticket.ErrMatchMissing, ticket.ErrScanned, ticket.ErrClosed, ticket.ErrExpired} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
