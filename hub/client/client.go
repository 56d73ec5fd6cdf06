// Package client describes the sites that use the hub, the relying parties: who they
// are, which origins and providers they accept, and their limits. It reads no file;
// package main does.
package client

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Client is a site that uses the hub.
type Client struct {
	ID             string
	LabelZH        string // shown to Chinese readers; "" means LabelEN, then the id
	LabelEN        string
	Origins        []string // exact origins (scheme://host[:port]) that may use this client
	Providers      []string // providers that may confirm; empty means all configured ones
	Subject        string   // SubjectOpenID ("" too) or SubjectUnionID
	NumberMatching bool
	// AutoMatching means that numbers are compared only if a login is unusual: the user is
	// new to the browser, an address is hidden, or the countries differ. NumberMatching is
	// false then. Devices always compare them.
	AutoMatching bool
	// NumbersByDefault means that NumberMatching is on without the operator's word, because
	// of LinkLogin. It does not apply to devices: standard clients of the device grant
	// cannot show a number.
	NumbersByDefault bool
	// LinkLogin means that the link of the QR code may lead to a login in a browser: an
	// app's own, or one at a provider's page. Anyone can send a link, so numbers are
	// compared then, unless the operator has turned that off.
	LinkLogin  bool
	SubjectMap string        // URL at the site that gives the token's subject at a confirm; "": none
	TokenTTL   time.Duration // 0 means the hub's default
	// AddressMismatch says what happens if phone and browser have known, different
	// addresses: MismatchWarn, MismatchRefuse, or nothing. MismatchRefuse also refuses a
	// browser or phone with an unknown address: an untrusted peer sent a forwarding
	// header, or a trusted proxy sent none.
	AddressMismatch string
	// PhoneNumber says whether a confirm brings the user's phone number: PhoneAsk,
	// PhoneRequire, or "" for no.
	PhoneNumber string

	LoginNotice *LoginNotice // message to the user after a confirm; nil: none
	// LivingCode is how long one frame of a changing QR code lasts, in whole seconds; 0: the
	// code does not change. LivingCodeWindow is how long a phone may use a frame after that; 0:
	// DefaultLivingCodeWindow.
	LivingCode, LivingCodeWindow time.Duration

	// Delivery says what the waiting page gets: DeliveryToken, or DeliveryCode.
	Delivery string

	// TokenEncryption says whether a page must send a key for which its token is encrypted:
	// EncryptionRequire or EncryptionPage.
	TokenEncryption string

	Branding *Branding // nil: the hub's own look
	Events   *Events   // nil: no events

	Secret []byte // SHA-256 of the client's secret; nil without one

	// The rest is for OpenID Connect and OAuth 2.0 (package api/oidc).

	RedirectURIs           []string // compared by AllowsRedirect
	PostLogoutRedirectURIs []string // compared exactly
	Grants                 []string // values of GrantCode, GrantDevice, GrantRefresh; empty: no OpenID
	IDTokenAlg             string   // AlgRS256, AlgES256 or AlgEdDSA
	TokenAlg               string   // of the hub's own login+jwt: AlgEdDSA ("" too) or AlgRS256
	// Claims are added to ID tokens and userinfo. Strings in it are templates:
	// {sub}, {openid}, {unionid} and {nickname} stand for the user's values, {sub_local} for
	// sub as the part of an email address before the @.
	Claims map[string]any
	// BackchannelLogoutURI receives logout tokens; "" for none (OpenID Connect
	// Back-Channel Logout 1.0, section 2.2).
	BackchannelLogoutURI             string
	BackchannelLogoutSessionRequired bool
	// JWKS (a JSON Web Key Set) or JWKSURI has the keys of private_key_jwt (RFC 7523).
	JWKS    json.RawMessage
	JWKSURI string
	// DPoPBound refuses token requests without a DPoP proof (RFC 9449, section 5.2).
	DPoPBound bool
	// OfflineAccess allows refresh tokens: GrantRefresh is among the grants.
	OfflineAccess bool
}

// Events says where the events of a client's logins go (package api/notify).
type Events struct {
	URL     string
	Secrets [][]byte // that sign, newest first; two while the secret changes
}

// Grants of a client.
const (
	GrantCode    = "authorization_code"
	GrantDevice  = "device_code" // RFC 8628
	GrantRefresh = "refresh_token"
)

// Signature algorithms of tokens (RFC 7518, RFC 8037).
const (
	AlgRS256 = "RS256"
	AlgES256 = "ES256"
	AlgEdDSA = "EdDSA"
)

// OpenID reports whether the client uses the OpenID endpoints.
func (c *Client) OpenID() bool { return len(c.Grants) > 0 }

// HasGrant reports whether the client may use the grant.
func (c *Client) HasGrant(grant string) bool { return slices.Contains(c.Grants, grant) }

// DeliversCode reports whether the waiting page gets a code instead of the token.
func (c *Client) DeliversCode() bool { return c.Delivery == DeliveryCode }

// RequiresPageKey reports whether a page that waits for a token must send its key.
func (c *Client) RequiresPageKey() bool { return c.TokenEncryption == EncryptionRequire }

// HasSecret reports whether the text is the client's secret. It takes constant time.
func (c *Client) HasSecret(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return c.Secret != nil && subtle.ConstantTimeCompare(sum[:], c.Secret) == 1
}

// Public reports whether the client has no credentials (RFC 6749, section 2.1).
func (c *Client) Public() bool { return c.Secret == nil && c.JWKS == nil && c.JWKSURI == "" }

// Values of Client.AddressMismatch.
const (
	MismatchIgnore = "ignore" // "" too
	MismatchWarn   = "warn"
	MismatchRefuse = "refuse"
)

// Values of Client.Delivery.
const (
	DeliveryToken = "token" // "" too
	DeliveryCode  = "code"  // which the site's back end exchanges for the token
)

// Values of Client.TokenEncryption.
const (
	EncryptionPage    = "page" // the page decides; "" too
	EncryptionRequire = "require"
)

// DefaultLivingCodeWindow is long enough for a mini-program that WeChat has to load first.
const DefaultLivingCodeWindow = 20 * time.Second

// FrameWindow returns how long a phone may use a frame of a living code after its step. It
// also holds for tickets from before a reload, whose client has no living code any more.
func (c *Client) FrameWindow() time.Duration {
	return cmp.Or(c.LivingCodeWindow, DefaultLivingCodeWindow)
}

// Values of Client.PhoneNumber.
const (
	PhoneAsk     = "ask"     // the user may decline
	PhoneRequire = "require" // no login without a number
)

// WarnsMismatch reports whether the phone warns if the addresses differ.
func (c *Client) WarnsMismatch() bool { return c.AddressMismatch == MismatchWarn }

// RefusesMismatch reports whether phone and browser must have the same, known address.
func (c *Client) RefusesMismatch() bool { return c.AddressMismatch == MismatchRefuse }

// Label returns the client's name for readers of a language, a BCP 47 tag: Chinese or any other.
func (c *Client) Label(lang string) string {
	first, second := c.LabelEN, c.LabelZH
	if strings.HasPrefix(lang, "zh") {
		first, second = second, first
	}
	switch {
	case first != "":
		return first
	case second != "":
		return second
	}
	return c.ID
}

// AllowsProvider reports whether the provider may confirm this client's tickets.
func (c *Client) AllowsProvider(provider string) bool {
	return len(c.Providers) == 0 || slices.Contains(c.Providers, provider)
}

// AllowsOrigin reports whether a browser at that origin may wait for this client's
// tickets. A request without Origin ("") is allowed: browsers send Origin with every
// cross-site request.
func (c *Client) AllowsOrigin(origin string) bool {
	return origin == "" || slices.Contains(c.Origins, origin)
}
