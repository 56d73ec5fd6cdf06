package ticket

import "fmt"

// Identity is who the provider says that the phone's user is.
type Identity struct {
	Provider string `json:"provider"`           // wechat, wechat_web, app, sandbox
	AppID    string `json:"appid,omitempty"`    // WeChat's application, where there is one
	Subject  string `json:"subject"`            // the user's name at the provider; WeChat: the openid
	UnionID  string `json:"unionid,omitempty"`  // WeChat: the same user across one Open Platform account
	Nickname string `json:"nickname,omitempty"` // only where the provider vouches for it
	Picture  string `json:"picture,omitempty"`  // only where the provider vouches for it
}

// Same reports whether both are the same user at the same provider and
// application. Names and a unionid that turned up later do not matter.
func (i Identity) Same(o Identity) bool {
	return i.Provider == o.Provider && i.AppID == o.AppID && i.Subject == o.Subject
}

// maxID bounds each name that a provider gives, in bytes.
const maxID = 255

// Clean bounds what a provider said, so that every record can be read again: a
// vouched name is treated like a claimed one, a picture that is no https URL is
// left out, and a user whose ids are out of bounds is ErrIdentityIncomplete.
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

// Kinds of subject that a client may choose.
const (
	SubjectOpenID  = "openid"
	SubjectUnionID = "unionid"
)

// maxSubject is OpenID Connect's limit for sub (Core 1.0, section 2).
const maxSubject = 255

// Sub is the token's subject for a client that wants the given kind ("" means
// SubjectOpenID). A user without the needed part is ErrIdentityIncomplete, never
// given another subject: that would be another account.
func (i Identity) Sub(kind string) (string, error) {
	sub := i.Provider + ":" + i.Subject
	needed := i.Subject
	if i.Provider == "wechat" || i.Provider == "wechat_web" {
		// One prefix for both: the site's account belongs to the user, not to
		// the door he came through; the appid keeps openids apart.
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
