package login

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// createTicketResponse is the answer to a new ticket.
type createTicketResponse struct {
	Ticket    ticket.ID    `json:"ticket"`
	Secret    string       `json:"secret"`
	State     ticket.State `json:"state"`
	Seq       int64        `json:"seq"`
	ExpiresIn int64        `json:"expires_in"`
	QRURL     string       `json:"qr_url"`
	QRImage   string       `json:"qr_image"`
	MatchCode string       `json:"match_code,omitempty"`
	living
	LaunchURL string `json:"launch_url,omitempty"`
	// Remember asks the hub's own page to call remember after the confirm.
	Remember bool      `json:"remember,omitempty"`
	ScanWith []string  `json:"scan_with"`
	Branding *branding `json:"branding,omitempty"`
	// PictureHosts are the only hosts from which a page loads a verified user's picture.
	PictureHosts []string `json:"picture_hosts,omitempty"`
}

// living is what a page needs to draw a living code, in base64url and seconds; empty if the
// client has none.
type living struct {
	FrameKey    string `json:"frame_key,omitempty"`
	FrameStep   int64  `json:"frame_step,omitempty"`
	FrameWindow int64  `json:"frame_window,omitempty"`
}

// livingOf returns how to draw the code of a new ticket.
func livingOf(site *client.Client, created hub.Created) living {
	if created.FrameKey == nil {
		return living{}
	}
	return living{base64.RawURLEncoding.EncodeToString(created.FrameKey), int64(created.Ticket.FrameStep), int64(site.FrameWindow() / time.Second)}
}

// framePlace returns the placeholder of the frame in the link of a new ticket.
func framePlace(created hub.Created) string {
	if created.FrameKey == nil {
		return ""
	}
	return gate.FramePlace
}

// branding is the look of a client, for a page that shows its own.
type branding struct {
	Logo         string                       `json:"logo,omitempty"` // path
	Accent       string                       `json:"accent,omitempty"`
	OnAccent     string                       `json:"on_accent,omitempty"`
	AccentDark   string                       `json:"accent_dark,omitempty"`
	OnAccentDark string                       `json:"on_accent_dark,omitempty"`
	Theme        string                       `json:"theme,omitempty"`
	Texts        map[string]map[string]string `json:"texts,omitempty"` // by language and key
}

// brandingOf returns the look of a client; nil if it has none.
func brandingOf(site *client.Client) *branding {
	b := site.Branding
	if b == nil {
		return nil
	}
	out := &branding{Accent: b.Light.Color, OnAccent: b.Light.On, AccentDark: b.Dark.Color, OnAccentDark: b.Dark.On, Theme: b.Theme, Texts: b.Texts}
	if path := b.LogoPath(); path != "" {
		out.Logo = "/assets/" + path
	}
	return out
}

// CreateTicket is POST /api/login/tickets.
func (l *Handlers) CreateTicket(c echo.Context) error {
	body, err := request.ReadBody(c)
	if err != nil {
		return err
	}
	var in struct {
		ClientID *string `json:"client_id"`
		Nonce    string  `json:"nonce"`
		Request  *string `json:"request"`

		JWK map[string]json.RawMessage `json:"jwk"`
	}
	if err := request.DecodeBody(body, &in); err != nil {
		return err
	}
	cfg := gate.ConfigOf(c)
	client, grant, err := l.requested(c, cfg, in.ClientID, in.Request)
	if err != nil {
		return err
	}
	r := c.Request()
	origin := r.Header.Get("Origin")
	if grant != nil {
		in.Nonce = ""           // the site's own nonce is in the grant
		origin = grant.Origin() // the page is the hub's; the person logs in to the site
	}
	if grant == nil && client.DeliversCode() {
		grant = &ticket.Grant{Type: ticket.GrantExchange}
	}
	if utf8.RuneCountInString(in.Nonce) > ticket.MaxNonce {
		return request.Invalid(fmt.Sprintf("nonce: longer than %d characters", ticket.MaxNonce))
	}
	key, err := pageKey(client, grant, in.JWK)
	if err != nil {
		return err
	}
	from := l.gate.Addr(c)
	err = l.checkCreate(cfg, client, r, from)
	if err == nil {
		err = l.gate.RequireKnownAddress(client, from)
	}
	if err != nil {
		return l.gate.AuditRefusal("make", ticket.Ticket{Client: client.ID}, c, err)
	}
	browser, system := request.UserAgent(r.UserAgent())
	own := client.AutoMatching && gate.OwnPage(c)
	created, err := l.gate.Hub.Create(r.Context(), ticket.Request{Client: client, Nonce: in.Nonce,
		Address: from.Display, Hidden: from.Unverified, Origin: origin, Browser: browser, OS: system, Grant: grant, PageKey: key, Known: l.knownUsers(c, client.ID, own)})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, createTicketResponse{
		Ticket: created.Ticket.ID, Secret: created.Secret.Reveal(), State: created.Ticket.State, Seq: created.Ticket.Seq,
		ExpiresIn: ticket.Seconds(created.ExpiresIn), QRURL: qrText(cfg, client.ID, created.Ticket.ID),
		QRImage: qrImage(cfg, client.ID, created.Ticket.ID), MatchCode: created.MatchCode, living: livingOf(client, created),
		LaunchURL: cfg.LaunchURLOf(client, created.Ticket.ID, framePlace(created)), Remember: own, ScanWith: cfg.ScanWith(client), Branding: brandingOf(client),
		PictureHosts: cfg.PictureHosts(client)})
}

// pageKey returns the key for which the page's token is encrypted; nil if the page gets the
// token as it is, or none because the ticket has a grant.
func pageKey(site *client.Client, grant *ticket.Grant, jwk map[string]json.RawMessage) (*ticket.PageKey, error) {
	if jwk == nil {
		if grant == nil && site.RequiresPageKey() {
			return nil, request.Invalid("jwk: required, because the client has token_encryption: require; send the page's public P-256 key. " +
				"A page without one is not at an https address, or its browser or script is too old")
		}
		return nil, nil
	}
	key, err := ticket.ParsePageKey(jwk)
	if err != nil {
		return nil, request.Invalid("jwk: " + err.Error())
	}
	if grant != nil {
		return nil, nil
	}
	return key, nil
}

// checkCreate checks the origin, the kill switch and the limit of new tickets.
func (l *Handlers) checkCreate(cfg *gate.Config, client *client.Client, r *http.Request, from request.Addr) error {
	if err := cfg.CheckOrigin(client, r); err != nil {
		return err
	}
	if err := l.gate.Hub.CheckEnabled(client.ID); err != nil {
		return err
	}
	return l.gate.Limits.Tickets.Allow(from.RateKey, time.Now())
}

// requested returns the client that a page names. The page of an authorization request
// sends that request instead, and its tickets have a grant.
func (l *Handlers) requested(c echo.Context, cfg *gate.Config, id, text *string) (*client.Client, *ticket.Grant, error) {
	if text != nil {
		site, grant, err := l.TicketRequest(c, *text)
		if err != nil {
			return nil, nil, l.gate.AuditRefusal("make", ticket.Ticket{}, c, err)
		}
		return site, grant, nil
	}
	site, err := requestedClient(cfg, id)
	return site, nil, err
}

// requestedClient returns the client that a page names, or the only one.
func requestedClient(cfg *gate.Config, id *string) (*client.Client, error) {
	if id == nil {
		if len(cfg.Clients) == 1 {
			return cfg.Clients[0], nil
		}
		return nil, request.Invalid("client_id: required, because several clients are configured")
	}
	if client := cfg.ClientByID[*id]; client != nil {
		return client, nil
	}
	return nil, request.Invalid("client_id: unknown; send an id of the clients file, or none if it has one client")
}

// readCall decodes the body of a call for a ticket, and returns the ticket's id. The order
// of its checks is that of the wire contract.
func readCall(c echo.Context, into any) (ticket.ID, error) {
	body, err := request.ReadBody(c)
	if err != nil {
		return "", err
	}
	id, err := request.TicketID(c)
	if err != nil {
		return "", err
	}
	return id, request.DecodeBody(body, into)
}

// Ack is POST …/ack: the page has received the token.
func (l *Handlers) Ack(c echo.Context) error {
	var in struct {
		Seq *int64 `json:"seq"`
	}
	id, err := readCall(c, &in)
	if err != nil {
		return err
	}
	if in.Seq == nil {
		return request.Invalid("seq: required, the seq of the confirmed view")
	}
	err = request.CheckBearer(c.Request(), id)
	if err == nil {
		err = l.gate.Hub.Ack(c.Request().Context(), id, *in.Seq, l.gate.Browser(c, l.gate.CheckOrigin(c)))
	}
	if err != nil {
		return l.gate.AuditDenied("ack", id, c, err)
	}
	return c.NoContent(http.StatusNoContent)
}

// cancelResponse is the answer to a cancel.
type cancelResponse struct {
	State ticket.State `json:"state"`
	Was   ticket.State `json:"was,omitempty"` // confirmed, if the cancel ended a confirmed ticket
}

// Cancel is POST …/cancel: the browser no longer wants the ticket.
func (l *Handlers) Cancel(c echo.Context) error {
	id, err := readCall(c, &struct{}{})
	if err != nil {
		return err
	}
	err = request.CheckBearer(c.Request(), id)
	var t ticket.Ticket
	if err == nil {
		t, err = l.gate.Hub.Cancel(c.Request().Context(), id, l.gate.Browser(c, l.gate.CheckOrigin(c)))
	}
	if err != nil {
		return l.gate.AuditDenied("cancel", id, c, err)
	}
	out := cancelResponse{State: t.State}
	if t.WasConfirmed() {
		out.Was = ticket.Confirmed
	}
	return c.JSON(http.StatusOK, out)
}
