package provider

import "fmt"

// Identity is who the phone's user is, according to the provider. Its JSON is part of
// the record in Redis: the names of its fields never change.
type Identity struct {
	Provider string `json:"provider"`           // id of the provider in the configuration
	Realm    string `json:"appid,omitempty"`    // in which Subject is unique: WeChat's appid, WeCom's corpid; "" if there is one only
	Subject  string `json:"subject"`            // the user's id at the provider; WeChat: the openid
	Union    string `json:"unionid,omitempty"`  // the same user in several realms; WeChat: the unionid
	Nickname string `json:"nickname,omitempty"` // set only if the provider vouches for it
	Picture  string `json:"picture,omitempty"`  // set only if the provider vouches for it

	// Token is that of the provider's Kind. The record does not store it: the confirm
	// fixes the claims, and brings an identity of its own.
	Token *TokenForm `json:"-"`
}

// TokenForm says how a token names the users of a kind.
type TokenForm struct {
	AMR    string // authentication method (RFC 8176)
	Prefix string // sub is Prefix:Realm:Subject; Prefix:Subject if there is no realm
	// UnionPrefix is for clients that ask for the union subject: sub is
	// UnionPrefix:Union. "" means that the kind has none, and sub is the same for all
	// clients.
	UnionPrefix string
	OpenID      bool // the claims appid and openid are Realm and Subject
}

// Same reports whether both are the same user at the same provider and realm. It
// ignores names, and a union subject that was added later.
func (i Identity) Same(o Identity) bool {
	return i.Provider == o.Provider && i.Realm == o.Realm && i.Subject == o.Subject
}

// maxID is the longest id that a provider may give, in bytes.
const maxID = 255

// Clean limits what a provider returned, so that every record can be read again.
// Nicknames are cleaned like those from the phone. A picture that is not an https URL is
// dropped. Ids that are too long give ErrIdentityIncomplete.
func (i Identity) Clean() (Identity, error) {
	if len(i.Subject) > maxID || len(i.Realm) > maxID || len(i.Union) > maxID {
		return Identity{}, fmt.Errorf("%s: an id of over %d bytes: %w", i.Provider, maxID, ErrIdentityIncomplete)
	}
	i.Nickname = CleanText(i.Nickname, MaxNickname)
	if i.Picture != "" && !IsPicture(i.Picture) {
		i.Picture = ""
	}
	return i, nil
}

// The kinds of subject that a client may choose.
const (
	SubjectOpenID  = "openid"
	SubjectUnionID = "unionid"
)

// maxSubject is the limit of OpenID Connect for sub (Core 1.0, section 2), in bytes.
const maxSubject = 255

// Sub returns the token's subject of the given kind ("" means SubjectOpenID). If the
// user has no such id, it returns ErrIdentityIncomplete. It never falls back to the
// other kind: that would be another account.
func (i Identity) Sub(kind string) (string, error) {
	if i.Token == nil {
		return "", fmt.Errorf("%s identifies no user: %w", i.Provider, ErrIdentityIncomplete)
	}
	prefix, needed := i.Token.Prefix, i.Subject
	if kind == SubjectUnionID && i.Token.UnionPrefix != "" {
		prefix, needed = i.Token.UnionPrefix, i.Union
	} else if i.Realm != "" {
		prefix += ":" + i.Realm
	}
	sub := prefix + ":" + needed
	if needed == "" {
		return "", fmt.Errorf("%s has no %s: %w", i.Provider, kind, ErrIdentityIncomplete)
	}
	if len(sub) > maxSubject {
		return "", fmt.Errorf("subject of %d bytes: %w", len(sub), ErrIdentityIncomplete)
	}
	return sub, nil
}
