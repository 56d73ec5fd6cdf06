package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/notify"
	"loginhub/api/token"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// disputeLife is how long after its confirm a login can be disputed.
const disputeLife = 24 * time.Hour

// confirmedLogin is what the hub keeps of a confirmed login for disputeLife, encrypted, so
// that its user can say later that it was not theirs.
type confirmedLogin struct {
	Client   string            `json:"client"`
	By       provider.Identity `json:"by"` // without names
	Subject  string            `json:"sub"`
	AMR      []string          `json:"amr"`
	Session  string            `json:"sid,omitempty"` // of an OpenID login
	Asked    ticket.Instant    `json:"asked"`         // when the browser asked
	AuthTime int64             `json:"auth_time"`     // Unix time
	Disputed bool              `json:"disputed,omitempty"`
}

func loginName(id ticket.ID) string { return "login:" + string(id) }

// SessionID returns the sid of a ticket's OpenID login. Every node derives the same.
func SessionID(signer *token.Signer, t ticket.Ticket) (string, error) {
	sid, err := signer.DeriveID(t.Key, "sid", string(t.ID))
	if err != nil {
		return "", fmt.Errorf("session: %w: %w", ticket.ErrUnknownKey, err)
	}
	return sid, nil
}

// keepLogin stores the login that the user has confirmed, if it can be disputed. It costs
// one command. A repeated confirm stores it again.
func (a *Admission) keepLogin(ctx context.Context, call *hub.Call, site *client.Client) error {
	if a.Action != ticket.Confirm || !site.Disputable() || a.gate.states == nil {
		return nil
	}
	t := call.Current()
	var claims ticket.Claims
	if err := json.Unmarshal(t.Claims, &claims); err != nil {
		return fmt.Errorf("keep login: read claims: %w", err)
	}
	login := confirmedLogin{Client: site.ID, Subject: claims.Subject, AMR: claims.AMR, Asked: t.CreatedAt, AuthTime: claims.AuthTime,
		By: provider.Identity{Provider: t.Identity.Provider, Realm: t.Identity.Realm, Subject: t.Identity.Subject}}
	if t.Grant != nil && t.Grant.Type != ticket.GrantExchange {
		var err error
		if login.Session, err = SessionID(a.cfg.Signer, t); err != nil {
			return err
		}
	}
	return saveLogin(ctx, a.gate.states, t.ID, login)
}

func saveLogin(ctx context.Context, states StateStore, id ticket.ID, login confirmedLogin) error {
	text, err := json.Marshal(login)
	if err != nil {
		return fmt.Errorf("keep login: %w", err)
	}
	return states.Save(ctx, loginName(id), text, time.Unix(login.AuthTime, 0).Add(disputeLife).Sub(states.Now()))
}

// loadLogin returns a login that can be disputed. The error is ticket.ErrNotFound if there
// is none, or none any more.
func loadLogin(ctx context.Context, states StateStore, id ticket.ID) (login confirmedLogin, err error) {
	if states == nil {
		return login, ticket.ErrNotFound
	}
	text, err := states.Load(ctx, loginName(id))
	if err == nil && text == nil {
		err = ticket.ErrNotFound
	}
	if err != nil {
		return login, err
	}
	if err = json.Unmarshal(text, &login); err != nil {
		return login, fmt.Errorf("load login: %w", err)
	}
	return login, nil
}

// RunDispute runs the call of a user who has confirmed a login and says now that it was not
// theirs: load the login, authorize, exchange the code, compare the users, end the login. A
// repeated call changes nothing. a.Action is ticket.Reject: a dispute has the limits and
// checks of a reject.
func (g *Gate) RunDispute(c echo.Context, a *Admission) (err error) {
	a.gate, a.cfg, a.from = g, ConfigOf(c), g.Addr(c)
	var by provider.Identity
	ctx := c.Request().Context()
	call := hub.DisputeCall{Ticket: a.Ticket, Provider: a.Provider, Phone: a.from.AuditAddr}
	err = call.Begin(ctx, g.Hub)
	defer func() { call.End(by, a.end(err), err) }()
	if err != nil {
		return err
	}
	login, err := loadLogin(ctx, g.states, a.Ticket)
	if err != nil {
		return err
	}
	call.Client = login.Client
	site, exchanger, err := a.check(ticket.Ticket{ID: a.Ticket, Client: login.Client})
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // the exchange consumes the code
	if by, err = a.exchange(ctx, exchanger); err != nil {
		return err
	}
	if !login.By.Same(by) {
		return ticket.ErrClosed
	}
	if login.Disputed {
		return nil
	}
	about := a.about(site)
	about.By = by
	return g.endLogin(ctx, &call, about, login)
}

// endLogin ends a login: its ticket, its sessions, and at the site, which gets an event. It
// marks the login at last, so that a call that broke off is done again.
func (g *Gate) endLogin(ctx context.Context, call *hub.DisputeCall, about notify.Call, login confirmedLogin) error {
	if err := call.Apply(ctx); err != nil {
		return err
	}
	if g.EndSession != nil {
		if err := g.EndSession(ctx, about.Client, login.Subject, login.Session); err != nil {
			return err
		}
	}
	claims, err := json.Marshal(ticket.Claims{Subject: login.Subject, ID: string(call.Ticket), AuthTime: login.AuthTime, AMR: login.AMR})
	if err != nil {
		return fmt.Errorf("end login: %w", err)
	}
	if err := g.notifier.Disputed(ctx, about, ticket.Ticket{ID: call.Ticket, Client: login.Client, CreatedAt: login.Asked, Claims: claims}); err != nil {
		return err
	}
	login.Disputed = true
	return saveLogin(ctx, g.states, call.Ticket, login)
}
