package oidc

import (
	"fmt"
	"slices"
	"strings"

	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// claimScopes has the scope that each standard claim needs (OpenID Connect Core 1.0,
// section 5.4). Other claims of a client's settings need none.
var claimScopes = map[string]string{
	"name": scopeProfile, "family_name": scopeProfile, "given_name": scopeProfile, "middle_name": scopeProfile, "nickname": scopeProfile,
	"preferred_username": scopeProfile, "profile": scopeProfile, "picture": scopeProfile, "website": scopeProfile, "gender": scopeProfile,
	"birthdate": scopeProfile, "zoneinfo": scopeProfile, "locale": scopeProfile, "updated_at": scopeProfile,
	"email": scopeEmail, "email_verified": scopeEmail, "address": "address", "phone_number": scopePhone, "phone_number_verified": scopePhone,
}

// userClaims returns the claims about a user that the scope allows. Names and pictures
// are those that the provider vouches for, never what the phone says about itself. The
// client's settings can add claims and replace these.
func userClaims(c *client.Client, login ticket.Claims, scope []string) map[string]any {
	claims := map[string]any{}
	add := func(name string, value any) {
		if needs := claimScopes[name]; needs == "" || slices.Contains(scope, needs) {
			claims[name] = value
		}
	}
	if login.Nickname != "" {
		add("name", login.Nickname)
		add("preferred_username", login.Nickname)
	}
	if login.Picture != "" {
		add("picture", login.Picture)
	}
	if login.PhoneNumber != "" {
		add("phone_number", login.PhoneNumber)
		add("phone_number_verified", login.PhoneVerified)
	}
	for name, value := range c.Claims {
		if value, ok := fillTemplates(value, login); ok {
			add(name, value)
		}
	}
	return claims
}

// fillTemplates fills the templates in a claim's value. ok is false if the user has no value
// for one of them: the claim is then left out.
func fillTemplates(value any, login ticket.Claims) (filled any, ok bool) {
	switch value := value.(type) {
	case string:
		return fillText(value, login)
	case []any:
		list := make([]any, 0, len(value))
		for _, one := range value {
			if one, ok := fillTemplates(one, login); ok {
				list = append(list, one)
			}
		}
		return list, true
	case map[string]any:
		object := map[string]any{}
		for name, one := range value {
			if one, ok := fillTemplates(one, login); ok {
				object[name] = one
			}
		}
		return object, true
	}
	return value, true
}

func fillText(text string, login ticket.Claims) (string, bool) {
	var pairs []string
	for name, value := range map[string]string{"{sub}": login.Subject, "{sub_local}": localPart(login.Subject), "{openid}": login.OpenID, "{unionid}": login.UnionID, "{nickname}": login.Nickname} {
		if value == "" && strings.Contains(text, name) {
			return "", false
		}
		pairs = append(pairs, name, value)
	}
	return strings.NewReplacer(pairs...).Replace(text), true
}

// localPart returns a subject as the part of an address before the @: lower-case letters,
// digits and dashes. Every other byte becomes "_XX", in hexadecimal: many sites refuse
// more, and compare addresses without case. Different subjects stay different, because
// sites take the address for the account.
func localPart(subject string) string {
	var out strings.Builder
	for _, b := range []byte(subject) {
		if 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '-' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "_%02x", b)
		}
	}
	return out.String()
}
