package login

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/geoip"
	"loginhub/api/request"
	"loginhub/hub"
	"loginhub/hub/ticket"
)

// maxAuthCode bounds a provider's code, in bytes. An own app's code is a JWT.
const maxAuthCode = 4096

var twoDigits = regexp.MustCompile(`^[0-9]{2}$`)

// scanResponse is the answer to a scan.
type scanResponse struct {
	State     ticket.State `json:"state"`
	ExpiresIn int64        `json:"expires_in"`
	Login     RequestInfo  `json:"login"`
	Choices   []string     `json:"match_choices,omitempty"`
	// PhoneNumber asks the app for the user's phone number: ask or require.
	PhoneNumber string `json:"phone_number,omitempty"`
	// NoticeTemplate asks the app for its user's permission to send a message of this template.
	NoticeTemplate string `json:"notice_template,omitempty"`
}

// confirmResponse is the answer to a confirm. The phone number is masked.
type confirmResponse struct {
	State       ticket.State `json:"state"`
	PhoneNumber string       `json:"phone_number,omitempty"`
}

// RequestInfo is what the phone displays to the person who decides. Hosts
// has the host of the page that asked; if its browser sent no Origin, those of
// the client's configuration. The address is observed by the hub, browser and
// system are claimed by the browser. The place is that of a GeoIP database, if there is one.
type RequestInfo struct {
	Client      string    `json:"client"`
	Hosts       []string  `json:"hosts,omitempty"`
	IP          string    `json:"ip,omitempty"`
	Place       string    `json:"place,omitempty"` // of the address, in the phone's language
	Browser     string    `json:"browser"`
	OS          string    `json:"os"`
	SameIP      *bool     `json:"same_ip,omitempty"`
	RequestedAt time.Time `json:"requested_at"`
	// Device means that a device without a browser asks: a command line, a television
	// (RFC 8628). It has no host.
	Device bool `json:"device,omitempty"`
	// AddressWarning asks the phone to warn: the addresses differ, and the
	// client is configured so.
	AddressWarning bool `json:"address_warning,omitempty"`
	// FarAway asks the phone to warn: the places of both addresses are known and far from each other.
	FarAway bool `json:"far_away,omitempty"`
}

// Scan is POST …/scan.
func (l *Handlers) Scan(c echo.Context) error {
	call, err := l.phoneCall(c, ticket.Scan)
	if err != nil {
		return err
	}
	choices, err := call.MatchChoices()
	if err != nil {
		return err
	}
	t := call.Current()
	cfg := gate.ConfigOf(c)
	return c.JSON(http.StatusOK, scanResponse{State: t.State, ExpiresIn: ticket.Seconds(call.Remaining()), Login: Describe(c, l.gate, t, request.FirstLanguage(c.Request())), Choices: choices,
		PhoneNumber: cfg.PhoneNumberOf(cfg.ClientByID[t.Client], t.Identity.Provider), NoticeTemplate: cfg.NoticeTemplate(cfg.ClientByID[t.Client], t.Identity.Provider)})
}

// Describe returns what the phone that sends a request displays of the ticket, whose
// client is configured. language is a tag such as zh-CN.
func Describe(c echo.Context, g *gate.Gate, t ticket.Ticket, language string) RequestInfo {
	client := gate.ConfigOf(c).ClientByID[t.Client]
	origins := client.Origins
	device := t.Grant != nil && t.Grant.Type == ticket.GrantDevice
	switch {
	case device:
		origins = nil
	case t.Origin != "":
		origins = []string{t.Origin}
	}
	info := RequestInfo{
		Client: client.Label(language), Hosts: displayHosts(origins),
		Browser: t.Browser, OS: t.OS, Device: device, RequestedAt: t.CreatedAt.Time().Truncate(time.Second),
		SameIP: request.SameAddress(t.Address, g.Addr(c).Display),
	}
	info.AddressWarning = client.WarnsMismatch() && info.SameIP != nil && !*info.SameIP
	if t.Address.IsValid() {
		info.IP = t.Address.String()
	}
	place := g.Places().Lookup(t.Address)
	info.Place, info.FarAway = place.Text(language), geoip.Far(place, g.Places().Lookup(g.Addr(c).Display))
	return info
}

// displayHosts returns the hosts of the origins without duplicates, at most
// four, because a person reads them. It keeps the scheme of an app's or
// extension's origin, which identifies it.
func displayHosts(origins []string) []string {
	var all []string
	for _, origin := range origins {
		host := strings.TrimPrefix(strings.TrimPrefix(origin, "https://"), "http://")
		if !slices.Contains(all, host) && len(all) < 4 {
			all = append(all, host)
		}
	}
	return all
}

// Confirm is POST …/confirm. The answer is the state that the call produced,
// also if the browser has already acknowledged it.
func (l *Handlers) Confirm(c echo.Context) error {
	call, err := l.phoneCall(c, ticket.Confirm)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, confirmResponse{State: ticket.Confirmed, PhoneNumber: call.Current().MaskedPhoneNumber()})
}

// Reject is POST …/reject.
func (l *Handlers) Reject(c echo.Context) error {
	if _, err := l.phoneCall(c, ticket.Reject); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]ticket.State{"state": ticket.Rejected})
}

// Dispute is POST …/dispute: a user who has confirmed says, within a day, that the login was
// not theirs.
func (l *Handlers) Dispute(c echo.Context) error {
	call, err := l.admission(c, ticket.Reject)
	if err != nil {
		return err
	}
	if err := l.gate.RunDispute(c, call); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"state": "disputed"})
}

// phoneCall reads the body of a phone's call and runs the call.
func (l *Handlers) phoneCall(c echo.Context, a ticket.Action) (*hub.Call, error) {
	call, err := l.admission(c, a)
	if err != nil {
		return nil, err
	}
	return l.gate.RunCall(c, call)
}

// admission reads the body of a phone's call. All calls have the same body; a field that a
// call does not need is checked too.
func (l *Handlers) admission(c echo.Context, a ticket.Action) (*gate.Admission, error) {
	var in struct {
		Provider  string      `json:"provider"`
		Code      string      `json:"code"`
		PhoneCode string      `json:"phone_code"`
		Match     string      `json:"match"`
		Notice    bool        `json:"notice"`
		Frame     string      `json:"frame"`
		User      ticket.User `json:"user"`
	}
	id, err := readCall(c, &in)
	if err != nil {
		return nil, err
	}
	switch {
	case in.Provider == "":
		return nil, request.Invalid("provider: required")
	case !gate.ConfigOf(c).HasProvider(in.Provider):
		return nil, l.gate.RefuseUnlessUnknown(c, id, request.Invalid("provider: unknown provider"))
	case in.Code == "" || len(in.Code) > maxAuthCode:
		return nil, request.Invalid(fmt.Sprintf("code: required, at most %d bytes", maxAuthCode))
	case len(in.PhoneCode) > maxAuthCode:
		return nil, request.Invalid(fmt.Sprintf("phone_code: at most %d bytes", maxAuthCode))
	case in.Match != "" && !twoDigits.MatchString(in.Match):
		return nil, request.Invalid("match: two digits")
	}
	user, err := in.User.Clean()
	if err != nil {
		return nil, request.Invalid(err.Error())
	}
	return &gate.Admission{PhoneCall: hub.PhoneCall{Action: a, Ticket: id, Provider: in.Provider, User: user, Match: in.Match},
		Code: in.Code, PhoneCode: in.PhoneCode, Frame: in.Frame, Notice: in.Notice, Lang: request.FirstLanguage(c.Request())}, nil
}
