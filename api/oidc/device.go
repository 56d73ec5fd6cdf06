package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

const (
	// DeviceLife is how long a device waits for a person: they may have to fetch their
	// phone and type a code (RFC 8628, section 5.2).
	DeviceLife = 10 * time.Minute
	// pollInterval is the time between the starts of two polls of a device.
	pollInterval = 5 * time.Second
	// DevicePage is where a person types a user code.
	DevicePage = "/device"
)

// deviceGrant are the endpoints of devices without a browser (RFC 8628).
type deviceGrant struct {
	*Handlers
	held heldPolls
}

// deviceResponse is the answer to a device (RFC 8628, section 3.2).
type deviceResponse struct {
	DeviceCode      string `json:"device_code"`
	UserCode        string `json:"user_code"`
	VerificationURI string `json:"verification_uri"`
	Complete        string `json:"verification_uri_complete"`
	ExpiresIn       int64  `json:"expires_in"`
	Interval        int64  `json:"interval"`
	// MatchCode is the number that the person chooses on the phone, if the client has
	// number matching. The device must show it.
	MatchCode string `json:"match_code,omitempty"`
}

// authorizeDevice is POST /oauth2/device_authorization (RFC 8628, section 3.1). The
// device code is the secret of a new ticket, which a phone scans and confirms as every
// other one.
func (h *deviceGrant) authorizeDevice(c echo.Context) error {
	noStore(c)
	form, err := readForm(c)
	if err != nil {
		return err
	}
	site, err := h.authenticate(c, form, devicePath)
	if err != nil {
		return err
	}
	if !site.HasGrant(client.GrantDevice) {
		return newError("unauthorized_client", "the client's settings do not list the grant device_code")
	}
	scope, err := checkScope(site, form.Get("scope"))
	if err != nil {
		return err
	}
	if err := h.admitDevice(c, site); err != nil {
		return h.gate.AuditRefusal("make", ticket.Ticket{Client: site.ID}, c, err)
	}
	ctx := c.Request().Context()
	name, system := request.Device(c.Request().UserAgent())
	created, err := h.gate.Hub.Create(ctx, ticket.Request{Client: site, Address: h.gate.Addr(c).Display, Browser: name, OS: system,
		Grant: &ticket.Grant{Type: ticket.GrantDevice, Issuer: h.issuerURL, Scope: scope, TTL: DeviceLife}})
	if err != nil {
		return err
	}
	code, err := h.saveUserCode(ctx, created.Ticket.ID, created.ExpiresIn)
	if err != nil {
		return err
	}
	link := strings.ReplaceAll(gate.ConfigOf(c).MethodsOf(site.ID).QR, "{ticket}", string(created.Ticket.ID))
	return c.JSON(http.StatusOK, deviceResponse{DeviceCode: created.Secret.Reveal(), UserCode: code,
		VerificationURI: h.gate.PublicURL + DevicePage, Complete: link,
		ExpiresIn: ticket.Seconds(created.ExpiresIn), Interval: int64(pollInterval / time.Second), MatchCode: created.MatchCode})
}

// admitDevice checks what a device has to pass beside its credentials.
func (h *deviceGrant) admitDevice(c echo.Context, site *client.Client) error {
	if err := h.gate.Hub.CheckEnabled(site.ID); err != nil {
		return err
	}
	from := h.gate.Addr(c)
	if err := h.gate.RequireKnownAddress(site, from); err != nil {
		return err
	}
	return h.gate.Limits.Devices.Allow(from.RateKey, site.ID, time.Now())
}

// enterCode is GET /device, where a person types the user code (RFC 8628, section 3.3).
func (h *deviceGrant) enterCode(c echo.Context) error {
	return h.options.Device(c, http.StatusOK, c.QueryParam("user_code"))
}

// submitCode is POST /device: it leads to the consent page of the code's ticket. All
// codes without a waiting ticket get the same answer.
func (h *deviceGrant) submitCode(c echo.Context) error {
	form, err := request.ReadForm(c, "user_code")
	if err != nil {
		return err
	}
	// Another site must not spend this browser's tries.
	if gate.ConfigOf(c).CheckOrigin(&client.Client{}, c.Request()) != nil {
		return gate.ErrOrigin
	}
	// Counted before it is looked up, so that concurrent tries cannot exceed the limit.
	refund, err := h.gate.Limits.UserCodes.Take(h.gate.Addr(c).RateKey, time.Now())
	if err != nil {
		return err
	}
	id, err := h.findUserCode(c.Request().Context(), form.Get("user_code"))
	if err != nil {
		refund()
		return err
	}
	if id == "" {
		return h.options.Device(c, http.StatusBadRequest, form.Get("user_code"))
	}
	refund()
	return c.Redirect(http.StatusSeeOther, "/s/"+url.PathEscape(string(id)))
}
