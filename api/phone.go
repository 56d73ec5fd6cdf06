package api

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/hub"
	"loginhub/hub/ticket"
)

// maxAuthCode bounds a provider's code, in bytes. An own app's code is a JWT.
const maxAuthCode = 4096

var twoDigits = regexp.MustCompile(`^[0-9]{2}$`)

// scanResponse is the answer to a scan.
type scanResponse struct {
	State     ticket.State     `json:"state"`
	ExpiresIn int64            `json:"expires_in"`
	Login     loginRequestInfo `json:"login"`
	Choices   []string         `json:"match_choices,omitempty"`
}

// loginRequestInfo is what the phone displays to the person who decides. Hosts
// are from the client's configuration, the address is observed by the hub,
// browser and system are claimed by the browser.
type loginRequestInfo struct {
	Client      string    `json:"client"`
	Hosts       []string  `json:"hosts,omitempty"`
	IP          string    `json:"ip,omitempty"`
	Browser     string    `json:"browser"`
	OS          string    `json:"os"`
	SameIP      *bool     `json:"same_ip,omitempty"`
	RequestedAt time.Time `json:"requested_at"`
	// AddressWarning asks the phone to warn: the addresses differ, and the
	// client is configured so.
	AddressWarning bool `json:"address_warning,omitempty"`
}

// scan is POST …/scan.
func (s *Server) scan(c echo.Context) error {
	call, err := s.parsePhoneCall(c, ticket.Scan)
	if err != nil {
		return err
	}
	r, err := s.Hub.Scan(c.Request().Context(), call)
	if err != nil {
		return err
	}
	t, client := r.Ticket, activeConfigOf(c).clients[r.Ticket.Client]
	l := loginRequestInfo{
		Client: client.Label(language(c.Request())), Hosts: displayHosts(client.Origins),
		Browser: t.Browser, OS: t.OS, RequestedAt: t.CreatedAt.Truncate(time.Second),
		SameIP: sameAddress(t.Address, s.proxies.clientAddr(c.Request()).display),
	}
	l.AddressWarning = client.AddressMismatch == ticket.MismatchWarn && l.SameIP != nil && !*l.SameIP
	if t.Address.IsValid() {
		l.IP = t.Address.String()
	}
	return c.JSON(http.StatusOK, scanResponse{State: t.State, ExpiresIn: ticket.Seconds(r.Remaining), Login: l, Choices: r.Choices})
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

// confirm is POST …/confirm. The answer is the state that the call produced,
// also if the browser has already acknowledged it.
func (s *Server) confirm(c echo.Context) error {
	call, err := s.parsePhoneCall(c, ticket.Confirm)
	if err != nil {
		return err
	}
	if _, err := s.Hub.Confirm(c.Request().Context(), call); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]ticket.State{"state": ticket.Confirmed})
}

// reject is POST …/reject.
func (s *Server) reject(c echo.Context) error {
	call, err := s.parsePhoneCall(c, ticket.Reject)
	if err != nil {
		return err
	}
	if _, err := s.Hub.Reject(c.Request().Context(), call); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]ticket.State{"state": ticket.Rejected})
}

// parsePhoneCall reads the body of a phone call. The three calls have the same
// body; a field that a call does not need is checked too.
func (s *Server) parsePhoneCall(c echo.Context, a ticket.Action) (hub.PhoneCall, error) {
	body, err := readBody(c)
	if err != nil {
		return hub.PhoneCall{}, err
	}
	id, err := ticketID(c)
	if err != nil {
		return hub.PhoneCall{}, err
	}
	var in struct {
		Provider string      `json:"provider"`
		Code     string      `json:"code"`
		Match    string      `json:"match"`
		User     ticket.User `json:"user"`
	}
	if err := parse(body, &in); err != nil {
		return hub.PhoneCall{}, err
	}
	cfg := activeConfigOf(c)
	switch {
	case in.Provider == "":
		return hub.PhoneCall{}, invalid("provider: required")
	case !cfg.hasProvider(in.Provider):
		return hub.PhoneCall{}, s.refuseUnlessUnknown(c, id, invalid("provider: unknown provider"))
	case in.Code == "" || len(in.Code) > maxAuthCode:
		return hub.PhoneCall{}, invalid(fmt.Sprintf("code: required, at most %d bytes", maxAuthCode))
	case in.Match != "" && !twoDigits.MatchString(in.Match):
		return hub.PhoneCall{}, invalid("match: two digits")
	}
	user, err := in.User.Clean()
	if err != nil {
		return hub.PhoneCall{}, invalid(err.Error())
	}
	var provider Provider // set by Authorize, when the ticket's client is known
	admission := &phoneAdmission{server: s, cfg: cfg, from: s.proxies.clientAddr(c.Request()), action: a, hasMatchCode: in.Match != ""}
	return hub.PhoneCall{Phone: admission.from.auditAddr, OnResult: admission.onResult, Ticket: id, User: user, Match: in.Match, Client: cfg.clientByID,
		Authorize: func(t ticket.Ticket) error {
			client, err := cfg.clientOf(t)
			if err != nil {
				return err
			}
			provider = cfg.loginMethods(t.Client).Providers[in.Provider]
			if provider == nil || !client.AllowsProvider(in.Provider) {
				return invalid("provider: this client does not accept it")
			}
			return admission.check(t)
		},
		Exchange: func(ctx context.Context) (ticket.Identity, error) {
			return admission.exchange(ctx, provider, Credential{Code: in.Code, Ticket: id})
		}}, nil
}

// language returns "zh" if the first language of Accept-Language is Chinese,
// otherwise "en".
func language(r *http.Request) string {
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(r.Header.Get("Accept-Language"))), "zh") {
		return "zh"
	}
	return "en"
}
