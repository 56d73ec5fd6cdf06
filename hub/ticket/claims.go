package ticket

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// Claims is the payload of the token (RFC 7519, section 4; OpenID Connect Core 1.0,
// section 2). The confirming node fixes it.
type Claims struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Subject  string   `json:"sub"`
	IssuedAt int64    `json:"iat"`
	AuthTime int64    `json:"auth_time"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	Nonce    string   `json:"nonce,omitempty"`
	AMR      []string `json:"amr"`
	AppID    string   `json:"appid,omitempty"`
	OpenID   string   `json:"openid,omitempty"`
	UnionID  string   `json:"unionid,omitempty"`
	Nickname string   `json:"nickname,omitempty"`
	Picture  string   `json:"picture,omitempty"`
	// PhoneNumber is in the form of E.164; PhoneVerified is true with it, because the
	// provider vouches for it (OpenID Connect Core 1.0, section 5.1).
	PhoneNumber   string `json:"phone_number,omitempty"`
	PhoneVerified bool   `json:"phone_number_verified,omitempty"`
	Claimed       *User  `json:"claimed,omitempty"`
}

// MaskedPhoneNumber returns the phone number in the claims of a confirmed ticket with most
// digits hidden, such as +86138****8000; "" if there is none.
func (t Ticket) MaskedPhoneNumber() string {
	if !bytes.Contains(t.Claims, []byte(`"phone_number":`)) {
		return ""
	}
	var c Claims
	if json.Unmarshal(t.Claims, &c) != nil || len(c.PhoneNumber) < 8 {
		return ""
	}
	n := c.PhoneNumber
	return n[:len(n)-8] + "****" + n[len(n)-4:]
}

// TokenExpiry returns exp of the claims of a confirmed ticket. Its name is in no other place
// before it: within a string its quotes would be escaped.
func (t Ticket) TokenExpiry() (time.Time, error) {
	_, rest, _ := bytes.Cut(t.Claims, []byte(`"exp":`))
	digits := 0
	for digits < len(rest) && rest[digits]-'0' <= 9 {
		digits++
	}
	seconds, err := strconv.ParseInt(string(rest[:digits]), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read claims: exp: %w", err)
	}
	return time.Unix(seconds, 0), nil
}

// TokenParams is what the confirming node adds to a ticket to build the token's claims.
type TokenParams struct {
	Issuer string // the public URL
	Client *client.Client
	TTL    time.Duration // used if the client sets none
	// SignKey is the tag of the key that signs the token (Ticket.SignKey).
	SignKey uint32
}

// claims builds the token's payload. It uses the store's clock, so that nodes with
// different clocks produce the same token.
func (is TokenParams) claims(t Ticket, of Confirmation, user User) (json.RawMessage, error) {
	by, now, sub := of.Identity, of.Now, of.Subject
	if sub == "" {
		var err error
		if sub, err = by.Sub(is.Client.Subject); err != nil {
			return nil, err
		}
	}
	ttl := is.TTL
	if is.Client.TokenTTL > 0 {
		ttl = is.Client.TokenTTL
	}
	c := Claims{
		Issuer: is.Issuer, Audience: t.Client, Subject: sub,
		IssuedAt: now.Unix(), AuthTime: now.Unix(), Expires: now.Add(ttl).Unix(),
		ID: string(t.ID), Nonce: t.Nonce, AMR: []string{by.Token.AMR},
		UnionID: by.Union, Nickname: by.Nickname, Picture: by.Picture,
	}
	if by.Token.OpenID {
		c.AppID, c.OpenID = by.Realm, by.Subject
	}
	if is.Client.PhoneNumber != "" {
		c.PhoneNumber, c.PhoneVerified = of.PhoneNumber, of.PhoneNumber != ""
	}
	if is.Client.PhoneNumber == client.PhoneRequire && c.PhoneNumber == "" {
		return nil, fmt.Errorf("%s gave no phone number: %w", by.Provider, provider.ErrIdentityIncomplete)
	}
	if user != (User{}) {
		c.Claimed = &user
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode claims: %w", err)
	}
	return raw, nil
}
