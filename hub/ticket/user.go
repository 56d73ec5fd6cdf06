package ticket

import (
	"errors"
	"unicode/utf8"

	"loginhub/hub/provider"
)

// Limits on what the phone sends about its user.
const (
	MaxNickname = provider.MaxNickname
	MaxAvatar   = provider.MaxPicture
)

// User is what the phone sends about its user: a claim, shown and never trusted.
type User struct {
	Nickname  string `json:"nickname,omitempty"`
	AvatarURL string `json:"avatar_url,omitempty"`
}

// DisplayUser is the user that the waiting page shows.
type DisplayUser struct {
	User
	// Verified means that the provider vouches for name and picture. The record does not
	// store it: it follows from the identity.
	Verified bool `json:"verified,omitempty"`
}

// ErrNickname and ErrAvatar name the claim that is out of bounds.
var (
	ErrNickname = errors.New("user.nickname is longer than 64 characters")
	ErrAvatar   = errors.New("user.avatar_url is not an https URL of at most 512 bytes")
)

// Clean checks the limits and removes characters that could disguise the text: control
// and bidirectional ones.
func (u User) Clean() (User, error) {
	if utf8.RuneCountInString(u.Nickname) > MaxNickname {
		return User{}, ErrNickname
	}
	u.Nickname = provider.CleanText(u.Nickname, MaxNickname)
	if u.AvatarURL == "" {
		return u, nil
	}
	if !provider.IsPicture(u.AvatarURL) {
		return User{}, ErrAvatar
	}
	return u, nil
}
