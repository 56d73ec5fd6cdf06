package wechattest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// App is an application registered with WeChat.
type App struct {
	ID, Secret string
	// OpenPlatform names the Open Platform account that the application is
	// bound to. A user has the same unionid in all applications of one account;
	// with the empty name there is no unionid.
	OpenPlatform string
	// CallbackHost is the host that a website application or an official account
	// has registered; empty for a mini-program.
	CallbackHost string
	// Token and AESKey are those of an official account's server, as its console
	// shows them. Without a Token the application cannot create QR codes.
	Token, AESKey string
	// Templates are the fields of the templates of subscribe messages, by template id.
	Templates map[string][]string
	// Pages are the published pages of a mini-program; nil means that every
	// page exists.
	Pages []string
}

// CodeLife is how long a wx.login code can be exchanged; WebCodeLife is the same
// for a website's.
const (
	CodeLife    = 5 * time.Minute
	WebCodeLife = 10 * time.Minute
)

// issued is a code and its user.
type issued struct {
	appID, user string
	web         bool
	scope       string // of a web code
	expires     time.Time
	used        bool
}

// Register adds or replaces an application.
func (s *Server) Register(a App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps[a.ID] = a
}

// Code does what wx.login does on the phone of user, a name of the test's choice.
// It returns a code of 32 characters for one exchange by this application within
// CodeLife.
func (s *Server) Code(appID, user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issue(issued{appID: appID, user: user, expires: s.now().Add(CodeLife)})
}

// issue returns a new code. Called with mu held.
func (s *Server) issue(i issued) string {
	code := (rand.Text() + rand.Text())[:32]
	s.codes[code] = &i
	return code
}

// OpenID returns the user's constant openid in this application, 28 characters.
func (s *Server) OpenID(appID, user string) string { return derive("openid", appID, user) }

// UnionID returns the user's unionid in this application. It is empty if the
// application is unknown or bound to no Open Platform account.
func (s *Server) UnionID(appID, user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if account := s.apps[appID].OpenPlatform; account != "" {
		return derive("unionid", account, user)
	}
	return ""
}

func derive(what, owner, user string) string {
	sum := sha256.Sum256([]byte(what + "\x00" + owner + "\x00" + user))
	return "o" + base64.RawURLEncoding.EncodeToString(sum[:])[:27]
}
