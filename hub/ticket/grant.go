package ticket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Types of a Grant.
const (
	GrantCode   = "code"   // authorization code (RFC 6749, section 4.1)
	GrantDevice = "device" // device code (RFC 8628)
	// GrantExchange is a client's delivery by code: its back end exchanges the code for the
	// hub's own token.
	GrantExchange = "exchange"
)

// ModeFormPost is the response mode that answers with a form; every other one is query
// (OAuth 2.0 Form Post Response Mode).
const ModeFormPost = "form_post"

// RedeemGrace is how long after the confirmed ticket's deadline its grant can be
// redeemed.
const RedeemGrace = time.Minute

// Limits of what a site sends with an authorization request, in bytes.
const (
	MaxState      = 2048
	MaxGrantNonce = 512
	MaxScope      = 512
)

// Grant is what a site redeems: an OAuth 2.0 grant, or the code of GrantExchange. Its ticket never gives a token
// to the browser: the site redeems the grant.
type Grant struct {
	Type         string        `json:"type"`
	Issuer       string        `json:"iss"` // of the hub that took the request
	RedirectURI  string        `json:"redirect_uri,omitempty"`
	State        string        `json:"state,omitempty"`
	Nonce        string        `json:"nonce,omitempty"`     // of the ID token
	Challenge    string        `json:"challenge,omitempty"` // PKCE, S256 (RFC 7636); "" for none
	DPoPKey      string        `json:"jkt,omitempty"`       // thumbprint of the key that the code is bound to (RFC 9449, section 10)
	Scope        string        `json:"scope,omitempty"`
	ResponseMode string        `json:"mode,omitempty"` // ModeFormPost, or "" for query
	TTL          time.Duration `json:"ttl,omitempty"`  // time to scan, instead of the deployment's
	Seq          int64         `json:"seq,omitempty"`  // of the confirmed version; 0 before
	Redeemed     bool          `json:"redeemed,omitempty"`
}

// known reports whether this release has the type. A later one may have more.
func (g *Grant) known() bool {
	return g.Type == GrantCode || g.Type == GrantDevice || g.Type == GrantExchange
}

// Origin returns the origin of the site that asks, from its redirect URI; "" if that has
// an app's own scheme.
func (g *Grant) Origin() string {
	u, err := url.Parse(g.RedirectURI)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// confirmed returns the grant of a version that is confirmed as seq.
func (g *Grant) confirmed(seq int64) *Grant {
	if g == nil {
		return nil
	}
	next := *g
	next.Seq = seq
	return &next
}

// Redeemed reports whether the ticket's grant was redeemed.
func (t Ticket) Redeemed() bool { return t.Grant != nil && t.Grant.Redeemed }

// RedeemUntil returns the time until which the grant can be redeemed; the ticket's
// deadline if it has no grant or is not confirmed.
func (t Ticket) RedeemUntil() time.Time {
	if t.Grant == nil || !t.WasConfirmed() {
		return t.Deadline
	}
	return t.Deadline.Add(RedeemGrace)
}

// Redeem returns the ticket after its grant was exchanged for tokens at now. A confirmed
// ticket becomes consumed: the site has the login. A ticket whose browser was slower, and
// that has expired meanwhile, can be redeemed too.
func (t Ticket) Redeem(now time.Time) (Ticket, error) {
	switch {
	case t.Grant == nil:
		return t, ErrNotConfirmed
	case t.Grant.Redeemed:
		return t, ErrRedeemed
	case t.State == Rejected:
		return t, t.refusal(ErrClosed)
	case t.WasConfirmed() && !now.Before(t.RedeemUntil()), t.State == Expired && !t.WasConfirmed():
		return t, ErrExpired
	case !t.WasConfirmed():
		return t, ErrNotConfirmed
	}
	next := t.State
	if next == Confirmed {
		next = Consumed
	}
	t = t.step(next)
	grant := *t.Grant
	grant.Redeemed = true
	t.Grant = &grant
	return t, nil
}

// CodeLength is the length of an authorization code: a ticket's id, a dot, and 256 bits.
const CodeLength = IDLength + 1 + SecretLength

// Code returns the code of a confirmed ticket. It derives from the
// confirmed version, so that every node returns the same code and Redis stores none.
func (r *Keyring) Code(t Ticket) (string, error) {
	k, ok := r.keys[t.Key]
	if !ok {
		return "", fmt.Errorf("code: %w", ErrUnknownKey)
	}
	if len(k.Code) == 0 {
		return "", fmt.Errorf("code: no key for codes: %w", ErrUnknownKey)
	}
	if t.Grant == nil || t.Grant.Type != GrantCode && t.Grant.Type != GrantExchange || t.Grant.Seq == 0 {
		return "", fmt.Errorf("code: %w", ErrNotConfirmed)
	}
	mac := hmac.New(sha256.New, k.Code)
	fmt.Fprintf(mac, "loginhub %s %s %d %d", t.Grant.Type, t.ID, t.Grant.Seq, t.ConfirmedAt)
	return string(t.ID) + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// Answer returns the response to the site of a ticket: its code if it is confirmed, an error
// if it is rejected; zero for every other ticket.
func (r *Keyring) Answer(t Ticket) (Answer, error) {
	code := ""
	if t.State == Confirmed && t.Grant != nil && t.Grant.Type != GrantDevice {
		var err error
		if code, err = r.Code(t); err != nil {
			return Answer{}, err
		}
		if t.Grant.Type == GrantExchange {
			return Answer{Code: code}, nil
		}
	}
	return t.Answer(code), nil
}

// ParseCode returns the ticket that a code names. The code itself is not checked yet.
func ParseCode(code string) (ID, error) {
	id, proof, ok := strings.Cut(code, ".")
	if !ok || len(code) != CodeLength || len(proof) != SecretLength {
		return "", ErrNotFound
	}
	return ParseID(id)
}

// CheckCode reports whether code is the ticket's authorization code. It takes constant
// time.
func (r *Keyring) CheckCode(t Ticket, code string) error {
	want, err := r.Code(t)
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(want), []byte(code)) {
		return ErrNotFound
	}
	return nil
}

// FormPost is a form that the browser posts to the site in place of a redirect.
type FormPost struct {
	Action string            `json:"action"`
	Fields map[string]string `json:"fields"`
}

// Answer is the authorization response to the site: an address to go to, or a form to
// post. With GrantExchange it is the code, which the page passes to the site.
type Answer struct {
	Code       string    `json:"code,omitempty"`
	RedirectTo string    `json:"redirect_to,omitempty"`
	FormPost   *FormPost `json:"form_post,omitempty"`
}

// Answer returns the response for a confirmed ticket with its code, or for a rejected one
// (RFC 6749, section 4.1.2; RFC 9207). It is zero for every other ticket.
func (t Ticket) Answer(code string) Answer {
	switch {
	case t.Grant == nil || t.Grant.Type != GrantCode:
		return Answer{}
	case t.State == Rejected:
		return t.Grant.Respond("error", "access_denied")
	case code == "":
		return Answer{}
	}
	return t.Grant.Respond("code", code)
}

// Respond returns a response with state, issuer and further parameters, given as names
// and values.
func (g *Grant) Respond(params ...string) Answer {
	if g.State != "" {
		params = append(params, "state", g.State)
	}
	params = append(params, "iss", g.Issuer)
	if g.ResponseMode == ModeFormPost {
		form := &FormPost{Action: g.RedirectURI, Fields: map[string]string{}}
		for i := 0; i < len(params); i += 2 {
			form.Fields[params[i]] = params[i+1]
		}
		return Answer{FormPost: form}
	}
	to := g.RedirectURI
	for i := 0; i < len(params); i += 2 {
		separator := "&"
		switch {
		case !strings.Contains(to, "?"):
			separator = "?"
		case strings.HasSuffix(to, "?"), strings.HasSuffix(to, "&"):
			separator = ""
		}
		to += separator + url.QueryEscape(params[i]) + "=" + url.QueryEscape(params[i+1])
	}
	return Answer{RedirectTo: to}
}
