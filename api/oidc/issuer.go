package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// tokenLife is the life of access and ID tokens if the client sets none.
const tokenLife = time.Hour

// accessTokenType is the typ of access tokens (RFC 9068, section 2.1).
const accessTokenType = "at+jwt"

// acr is the authentication context of every login: a confirmed scan by a phone.
const acr = "urn:loginhub:phone"

// Scopes with a meaning here (OpenID Connect Core 1.0, sections 3.1.2.1, 5.4 and 11).
const (
	scopeOpenID  = "openid"
	scopeProfile = "profile"
	scopeEmail   = "email"
	scopeOffline = "offline_access"
)

// issuer makes the tokens of redeemed logins.
type issuer struct {
	url    string // iss: the public URL
	signer func() *token.Signer
}

// Login is a redeemed login.
type Login struct {
	Client *client.Client
	Ticket ticket.Ticket // was confirmed
	Scope  []string
	Nonce  string    // of the authorize request; "" for none
	Now    time.Time // by Redis's clock
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

// issue makes the tokens of a login: an access token, an ID token if the scope has
// openid, and a refresh token if it has offline_access and the client may have one.
func (i *issuer) issue(ctx context.Context, l Login) (tokenResponse, error) {
	var login ticket.Claims
	if err := json.Unmarshal(l.Ticket.Claims, &login); err != nil {
		return tokenResponse{}, fmt.Errorf("issue tokens: read claims: %w", err)
	}
	return i.tokens(l.session(login))
}

// session is what tokens of one login have in common. A refresh token keeps it.
type session struct {
	Key      string        `json:"kid"`    // master key of the ticket
	Ticket   ticket.ID     `json:"ticket"` // jti, sid and at_hash derive from it
	Client   string        `json:"client"`
	Scope    []string      `json:"scope"`
	Nonce    string        `json:"nonce,omitempty"`
	Login    ticket.Claims `json:"login"`
	now      time.Time
	settings *client.Client
	serial   int // number of the refresh
}

func (l Login) session(login ticket.Claims) session {
	return session{Key: l.Ticket.Key, Ticket: l.Ticket.ID, Client: l.Client.ID, Scope: l.Scope, Nonce: l.Nonce, Login: login, now: l.Now, settings: l.Client}
}

// times are the claims of every token about its life.
type times struct {
	IssuedAt int64 `json:"iat"`
	Expires  int64 `json:"exp"`
}

// accessToken is the payload of an access token (RFC 9068, section 2.2). Its audience is
// this hub: an audience that is a client id would let a site take it for an ID token
// (section 5).
type accessToken struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	ClientID string   `json:"client_id"`
	ID       string   `json:"jti"`
	Scope    string   `json:"scope,omitempty"`
	AuthTime int64    `json:"auth_time"`
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	times
}

// tokens makes the access token and the ID token of a session.
func (i *issuer) tokens(s session) (tokenResponse, error) {
	life := tokenLife
	if s.settings.TokenTTL > 0 {
		life = s.settings.TokenTTL
	}
	signer := i.signer()
	jti, err := signer.DeriveID(s.Key, "jti", fmt.Sprintf("%s.%d", s.Ticket, s.serial))
	if err != nil {
		return tokenResponse{}, fmt.Errorf("issue tokens: %w: %w", ticket.ErrUnknownKey, err)
	}
	valid := times{IssuedAt: s.now.Unix(), Expires: s.now.Add(life).Unix()}
	access := accessToken{Issuer: i.url, Subject: s.Login.Subject, Audience: i.url, ClientID: s.Client, ID: jti, Scope: strings.Join(s.Scope, " "),
		AuthTime: s.Login.AuthTime, ACR: acr, AMR: s.Login.AMR, times: valid}
	out := tokenResponse{TokenType: "Bearer", ExpiresIn: ticket.Seconds(life), Scope: access.Scope}
	if out.AccessToken, err = i.sign(signer, s, accessTokenType, access); err != nil {
		return tokenResponse{}, err
	}
	if slices.Contains(s.Scope, scopeOpenID) {
		out.IDToken, err = i.idToken(signer, s, valid, out.AccessToken)
	}
	return out, err
}

// idToken makes the ID token (OpenID Connect Core 1.0, section 2) that belongs to the
// access token.
func (i *issuer) idToken(signer *token.Signer, s session, valid times, access string) (string, error) {
	sid, err := signer.DeriveID(s.Key, "sid", string(s.Ticket))
	if err != nil {
		return "", fmt.Errorf("issue ID token: %w: %w", ticket.ErrUnknownKey, err)
	}
	claims := userClaims(s.settings, s.Login, s.Scope)
	for name, value := range map[string]any{"iss": i.url, "sub": s.Login.Subject, "aud": s.Client, "iat": valid.IssuedAt, "exp": valid.Expires,
		"auth_time": s.Login.AuthTime, "acr": acr, "amr": s.Login.AMR, "sid": sid, "at_hash": leftHalfHash(s.settings.IDTokenAlg, access)} {
		claims[name] = value
	}
	if s.Nonce != "" {
		claims["nonce"] = s.Nonce
	}
	return i.sign(signer, s, "JWT", claims)
}

// sign signs claims with the session's key and the client's algorithm.
func (i *issuer) sign(signer *token.Signer, s session, typ string, claims any) (string, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	signed, err := signer.Sign(s.Key, typ, s.settings.IDTokenAlg, text)
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
