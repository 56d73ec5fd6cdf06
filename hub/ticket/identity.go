package ticket

import "fmt"

// Identity is who the phone's user is, according to the provider.
type Identity struct {
	Provider string `json:"provider"`           // wechat, wechat_web, app, sandbox
	AppID    string `json:"appid,omitempty"`    // WeChat's application, if there is one
	Subject  string `json:"subject"`            // the user's id at the provider; WeChat: the openid
	UnionID  string `json:"unionid,omitempty"`  // WeChat: the same user across one Open Platform account
	Nickname string `json:"nickname,omitempty"` // set only if the provider vouches for it
	Picture  string `json:"picture,omitempty"`  // set only if the provider vouches for it
}

// Same reports whether both are the same user at the same provider and application. It
// ignores names, and a unionid that was added later.
func (i Identity) Same(o Identity) bool {
	return i.Provider == o.Provider && i.AppID == o.AppID && i.Subject == o.Subject
}

// maxID is the longest id that a provider may give, in bytes.
const maxID = 255

// Clean limits what a provider returned, so that every record can be read again.
// Nicknames are cleaned like those from the phone. A picture that is not an https URL is
// dropped. Ids that are too long give ErrIdentityIncomplete.
func (i Identity) Clean() (Identity, error) {
	if len(i.Subject) > maxID || len(i.AppID) > maxID || len(i.UnionID) > maxID {
		return Identity{}, fmt.Errorf("%s: an id of over %d bytes: %w", i.Provider, maxID, ErrIdentityIncomplete)
	}
	i.Nickname = CleanText(i.Nickname, MaxNickname)
	if _, err := (User{AvatarURL: i.Picture}).Clean(); err != nil {
		i.Picture = ""
	}
	return i, nil
}

// Values of Client.Subject.
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
	sub := i.Provider + ":" + i.Subject
	needed := i.Subject
	if i.Provider == "wechat" || i.Provider == "wechat_web" {
		// Both WeChat providers share one prefix: the account belongs to the user,
		// whichever way they log in. The appid keeps openids apart.
		sub = "wechat:" + i.AppID + ":" + i.Subject
		if kind == SubjectUnionID {
			sub, needed = "wechat:unionid:"+i.UnionID, i.UnionID
		}
	}
	if needed == "" {
		return "", fmt.Errorf("%s has no %s: %w", i.Provider, kind, ErrIdentityIncomplete)
	}
	if len(sub) > maxSubject {
		return "", fmt.Errorf("subject of %d bytes: %w", len(sub), ErrIdentityIncomplete)
	}
	return sub, nil
}
