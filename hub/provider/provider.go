package provider

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// Provider is a configured provider, ready for logins.
type Provider struct {
	ID string // in the configuration: what phones send as provider
	Kind
	Access
}

// OpensIn reports whether a browser with that User-Agent is inside the provider's own app
// and can log in there, by InApp.
func (p *Provider) OpensIn(userAgent string) bool {
	return p.InApp != nil && p.InAgent != nil && p.InAgent(userAgent)
}

// Access is what an opened provider offers. A kind sets what it has.
type Access struct {
	Code     Exchanger    // exchanges the codes that phones bring; nil: none do
	Redirect Redirector   // for a browser that logs in at the provider's page; nil: none
	InApp    Redirector   // for a browser inside the provider's own app (Kind.InAgent), without a question to the user; nil: none
	Events   Events       // receives notifications of who has scanned a code of Pictures; nil: none
	Phone    PhoneNumbers // gives users' phone numbers; nil: none
	Messages Messages     // sends users messages about their logins; nil: none
	Pictures Pictures     // draws the QR code instead of the hub; nil: the hub draws it
	Launch   string       // link that opens the provider's app on a phone, with {ticket}; "" for none
	Display  Label        // what people call this one, in place of Kind.Label; zero: that
	Calling  AccessToken  // used by the provider's calls, for metrics; zero: none
}

// Credential is the one-time code with which somebody proves who they are.
type Credential struct {
	Code   string // 1 to 4,096 bytes, any content
	Ticket string // the ticket to confirm, for a code that is bound to it
	Visit  Visit  // of the browser that brings the code; zero for a phone
}

// Exchanger turns a one-time code into an identity.
//
// Exchange is called at most once per code, and only if the state of the ticket permits
// success. It sets Realm, Subject and, if there are any, Union and the names that the
// provider vouches for. Its errors wrap ErrCodeInvalid, ErrUserBlocked,
// ErrIdentityIncomplete, ErrProviderMisconfigured or ErrProviderUnavailable. They are
// inside a RetryError if the time of the next try is known. They contain neither the
// code nor credentials.
//
// An Exchanger must be comparable, for example a pointer: its concurrent calls are
// counted by it.
type Exchanger interface {
	Exchange(ctx context.Context, c Credential) (Identity, error)
}

// Redirector sends a browser to the provider's page and exchanges the code with which it
// returns (OAuth 2.0, RFC 6749, section 4.1).
type Redirector interface {
	Exchanger
	// Authorize returns the URL of the provider's page.
	Authorize(ctx context.Context, v Visit) (string, error)
	// Origin returns the origin of that page, for a Content-Security-Policy.
	Origin() string
}

// Visit is one visit of a browser to a provider's page. The hub makes it, and binds it
// to the browser and the ticket.
type Visit struct {
	Callback string // where the page sends the browser back to
	State    string // sent back unchanged
	Verifier string // 43 characters that only the hub knows, for PKCE (RFC 7636) or a nonce
	Lang     string // of the browser: zh or en
	Issuer   string // iss of the answer (RFC 9207); "" if there is none
}

// PhoneNumbers turns the one-time code of a user who has agreed into their phone number.
// Its errors are those of an Exchanger, and it must be comparable.
type PhoneNumbers interface {
	// PhoneNumber returns a number in the form of E.164, such as +8613800138000. It
	// exchanges the code once.
	PhoneNumber(ctx context.Context, code string) (string, error)
}

// Pictures draws QR codes that the provider's app opens.
type Pictures interface {
	// Code returns the code of a ticket. Its errors are those of an Exchanger.
	Code(ctx context.Context, ticket string) (Picture, error)
}

// Picture is a QR code: an image, JPEG or PNG, or the text of a code that the hub draws.
type Picture struct {
	Image []byte
	Text  string // if Image is nil
}

// Events receives the notifications that a provider sends to the hub.
type Events interface {
	// Receive checks who sent a notification and answers it. It calls scanned for a user
	// who has scanned the code of a ticket. An error that wraps ErrEventInvalid means that
	// the provider did not send the notification.
	Receive(ctx context.Context, n Notification, scanned func(context.Context, Scan) Prompt) (Answer, error)
}

// Scan is the scan of a ticket's code by a user of the provider.
type Scan struct {
	Ticket string // any text
	// User returns who it was. It may call the provider. It is called once at most, and
	// only if the state of the ticket permits the scan.
	User func(context.Context) (Identity, error)
}

// Prompt is what the user who has scanned sees next.
type Prompt struct {
	Client, Host string // who asks
	Link         string // under which the user decides; "" if they cannot
	Refusal      string // the code of the error, if Link is ""
}

// Notification is a request of a provider.
type Notification struct {
	Method string // GET or POST
	Query  url.Values
	Body   []byte // at most 16 KiB
}

// Answer is the body that answers a Notification, with its media type.
type Answer struct {
	Type string
	Body []byte
}

// AccessToken describes the access token that a provider's calls carry.
type AccessToken struct {
	AppID string // whose token it is
	// Age returns the time since the token in use was asked for and until it ends; ok is
	// false if there is none. nil: the provider has no access token.
	Age func() (age, left time.Duration, ok bool)
}

// Open opens a provider of the kind.
func (k Kind) Open(c Config, e Env) (*Provider, error) {
	a, err := c.Open(e)
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", e.ID, err)
	}
	p := &Provider{ID: e.ID, Kind: k}
	if a.Code != nil {
		a.Code = &exchanger{p, a.Code}
	}
	if a.Redirect != nil {
		a.Redirect = &redirector{a.Redirect, exchanger{p, a.Redirect}}
	}
	if a.InApp != nil {
		a.InApp = &redirector{a.InApp, exchanger{p, a.InApp}}
	}
	if a.Events != nil {
		a.Events = &events{p, a.Events}
	}
	p.Access = a
	if a.Display.ZH != "" {
		p.Kind.Label = a.Display
	}
	return p, nil
}

// exchanger completes the identities of a provider. The caller cleans them.
type exchanger struct {
	provider *Provider
	next     Exchanger
}

// Exchange implements Exchanger.
func (x *exchanger) Exchange(ctx context.Context, c Credential) (Identity, error) {
	by, err := x.next.Exchange(ctx, c)
	if err != nil {
		return Identity{}, err
	}
	by.Provider, by.Token = x.provider.ID, &x.provider.Kind.Token
	return by, nil
}

// TicketBound reports whether a code names the ticket that it confirms.
func (x *exchanger) TicketBound() bool { return x.provider.Kind.TicketBound }

// KindName returns the name of the provider's kind.
func (x *exchanger) KindName() string { return x.provider.Kind.Name }

// FixedPaths returns the paths of a website login that began before each provider had
// its own under /api/connect; "" for none. Only the provider whose id is the kind's name
// has them.
func (p *Provider) FixedPaths() (start, callback string) {
	if p.ID != p.Kind.Name {
		return "", ""
	}
	return p.StartPath, p.CallbackPath
}

type redirector struct {
	Redirector
	exchanger
}

// Exchange implements Exchanger.
func (r *redirector) Exchange(ctx context.Context, c Credential) (Identity, error) {
	return r.exchanger.Exchange(ctx, c)
}

// events completes the identities of a provider's notifications.
type events struct {
	provider *Provider
	next     Events
}

// Receive implements Events.
func (e *events) Receive(ctx context.Context, n Notification, scanned func(context.Context, Scan) Prompt) (Answer, error) {
	return e.next.Receive(ctx, n, func(ctx context.Context, s Scan) Prompt {
		user := s.User
		s.User = func(ctx context.Context) (Identity, error) {
			by, err := user(ctx)
			if err != nil {
				return Identity{}, err
			}
			by.Provider, by.Token = e.provider.ID, &e.provider.Kind.Token
			return by, nil
		}
		return scanned(ctx, s)
	})
}
