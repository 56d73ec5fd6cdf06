package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"loginhub/api/gate"
	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// tokenLife is the life of access and ID tokens if the client sets none.
const tokenLife = time.Hour

// acr is the authentication context of every login: a confirmed scan by a phone.
const acr = "urn:loginhub:phone"

// Scopes with a meaning here (OpenID Connect Core 1.0, sections 3.1.2.1, 5.4 and 11).
const (
	scopeOpenID  = "openid"
	scopeProfile = "profile"
	scopeEmail   = "email"
	scopePhone   = "phone"
	scopeOffline = "offline_access"
)

// issuer makes the tokens of redeemed logins.
type issuer struct {
	url    string // iss: the public URL
	signer func() *token.Signer
	states gate.StateStore // of refresh tokens
	log    *slog.Logger
}

// Login is a redeemed login.
type Login struct {
	Client *client.Client
	Ticket ticket.Ticket // was confirmed
	Scope  []string
	Nonce  string // of the authorize request; "" for none
	// DPoPKey is the thumbprint of the key that the tokens are bound to; "" for bearer
	// tokens (RFC 9449).
	DPoPKey string
	Now     time.Time // by Redis's clock
}

// tokenResponse is the answer of the token endpoint (RFC 6749, section 5.1; OpenID
// Connect Core 1.0, section 3.1.3.3).
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	IDToken      string `json:"id_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
}

// session is what the tokens of one login have in common. Redis keeps it for a refresh
// token (refresh.go).
type session struct {
	ID     string        `json:"sid"`
	Client string        `json:"client"`
	Scope  []string      `json:"scope"`
	Login  ticket.Claims `json:"login"`
	// Confirmed is the time of the confirm in microseconds (Ticket.ConfirmedAt).
	Confirmed int64 `json:"confirmed"`
	Ends      int64 `json:"ends"` // Unix seconds; of the refresh tokens
	Used      int   `json:"used"` // number of the last refresh token that was used; 0: none
	// DPoPKey is the thumbprint of the key that the refresh tokens are bound to; "" for
	// none. Those of clients with credentials are not bound (RFC 9449, section 5).
	DPoPKey string `json:"jkt,omitempty"`
}

// grant is one answer of the token endpoint: the tokens of a session at a time.
type grant struct {
	session
	key     string // id of the master key that signs
	serial  int    // number of the refresh; 0 for the login
	scope   []string
	nonce   string
	client  *client.Client
	dpopKey string // of the access token
	now     time.Time
}

// issue makes the tokens of a login: an access token, an ID token if the scope has
// openid, and a refresh token if it has offline_access and the client may have one.
func (i *issuer) issue(ctx context.Context, l Login) (tokenResponse, error) {
	offline := l.Client.OfflineAccess && slices.Contains(l.Scope, scopeOffline)
	if !offline {
		l.Scope = slices.DeleteFunc(slices.Clone(l.Scope), func(s string) bool { return s == scopeOffline })
	}
	g := grant{session: session{Client: l.Client.ID, Scope: l.Scope, Confirmed: l.Ticket.ConfirmedAt, Ends: l.Now.Add(refreshLife).Unix()},
		key: l.Ticket.Key, scope: l.Scope, nonce: l.Nonce, client: l.Client, dpopKey: l.DPoPKey, now: l.Now}
	if l.Client.Public() {
		g.session.DPoPKey = l.DPoPKey
	}
	if err := json.Unmarshal(l.Ticket.Claims, &g.Login); err != nil {
		return tokenResponse{}, fmt.Errorf("issue tokens: read claims: %w", err)
	}
	var err error
	if g.ID, err = gate.SessionID(i.signer(), l.Ticket); err != nil {
		return tokenResponse{}, err
	}
	out, err := i.tokens(g)
	if err != nil || !offline {
		return out, err
	}
	// The login is redeemed: without its refresh token it is still a login.
	if err := i.saveSession(ctx, g.session, l.Now); err != nil {
		i.log.WarnContext(ctx, "no refresh token: the session was not stored", "client", l.Client.ID, "error", err)
		return out, nil
	}
	out.RefreshToken, err = refreshToken(i.signer(), i.signer().Current(), g.ID, 1)
	return out, err
}

// tokens makes the access token and the ID token.
func (i *issuer) tokens(g grant) (tokenResponse, error) {
	signer, life := i.signer(), accessLife(g.client)
	jti, err := signer.DeriveID(g.key, "jti", fmt.Sprintf("%s.%d", g.ID, g.serial))
	if err != nil {
		return tokenResponse{}, fmt.Errorf("issue tokens: %w: %w", ticket.ErrUnknownKey, err)
	}
	valid := times{IssuedAt: g.now.Unix(), Expires: g.now.Add(life).Unix()}
	access := accessToken{Issuer: i.url, Subject: g.Login.Subject, Audience: i.url, ClientID: g.client.ID, ID: jti, Session: g.ID,
		Scope: strings.Join(g.scope, " "), AuthTime: g.Login.AuthTime, ACR: acr, AMR: g.Login.AMR, Confirmed: g.Confirmed, User: newUserPart(g.client, g.Login, g.scope),
		Confirmation: confirmation{g.dpopKey}, times: valid}
	out := tokenResponse{TokenType: access.tokenType(), ExpiresIn: ticket.Seconds(life), Scope: access.Scope}
	if out.AccessToken, err = sign(signer, g.key, g.client, accessTokenType, access); err != nil {
		return tokenResponse{}, err
	}
	if slices.Contains(g.scope, scopeOpenID) {
		out.IDToken, err = i.idToken(signer, g, valid, out.AccessToken)
	}
	return out, err
}

// idTokenType is the typ of ID tokens.
const idTokenType = "JWT"

// idToken makes the ID token (OpenID Connect Core 1.0, section 2) that belongs to the
// access token.
func (i *issuer) idToken(signer *token.Signer, g grant, valid times, access string) (string, error) {
	claims := userClaims(g.client, g.Login, g.scope)
	for name, value := range map[string]any{"iss": i.url, "sub": g.Login.Subject, "aud": g.client.ID, "iat": valid.IssuedAt, "exp": valid.Expires,
		"auth_time": g.Login.AuthTime, "acr": acr, "amr": g.Login.AMR, "sid": g.ID, "at_hash": leftHalfHash(g.client.IDTokenAlg, access)} {
		claims[name] = value
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	return sign(signer, g.key, g.client, idTokenType, claims)
}

// sign signs claims with the master key's key of the client's algorithm.
func sign(signer *token.Signer, key string, site *client.Client, typ string, claims any) (string, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	signed, err := signer.Sign(key, typ, site.IDTokenAlg, text)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w: %w", typ, ticket.ErrUnknownKey, err)
	}
	return signed, nil
}

// leftHalfHash returns the at_hash of a token (OpenID Connect Core 1.0, section
// 3.1.3.6). The hash of EdDSA with Ed25519 is SHA-512.
func leftHalfHash(alg, text string) string {
	sum := sha256.Sum256([]byte(text))
	half := sum[:len(sum)/2]
	if alg == client.AlgEdDSA {
		long := sha512.Sum512([]byte(text))
		half = long[:len(long)/2]
	}
	return base64.RawURLEncoding.EncodeToString(half)
}
