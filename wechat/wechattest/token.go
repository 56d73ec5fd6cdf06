package wechattest

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"
)

const (
	stableLife = 2 * time.Hour
	// stableHandover is the time before a token's end at which the next one is
	// issued. Both are valid meanwhile.
	stableHandover = 5 * time.Minute
)

// stable is the token of one application.
type stable struct {
	token, before string
	expires       time.Time
	beforeExpires time.Time
}

// stableToken returns the same token until shortly before its end. Unlike the calls
// that read the query, it reads a JSON body only.
func (s *Server) stableToken(r *http.Request, f Fault) answer {
	var in struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
		Force     bool   `json:"force_refresh"`
	}
	if r.Method != http.MethodPost {
		return failure(43002, f)
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		return failure(47001, f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	app, known := s.apps[in.AppID]
	switch {
	case in.AppID == "":
		return failure(41002, f)
	case in.Secret == "":
		return failure(41004, f)
	case in.GrantType != "client_credential":
		return failure(40002, f)
	case !known:
		return failure(40013, f)
	case in.Secret != app.Secret:
		return failure(40125, f)
	}
	now, t := s.now(), s.tokens[in.AppID]
	if t == nil {
		t = &stable{}
		s.tokens[in.AppID] = t
	}
	if in.Force {
		s.forced++
	}
	if in.Force || !now.Before(t.expires.Add(-stableHandover)) {
		t.before, t.beforeExpires = t.token, t.expires
		t.token, t.expires = rand.Text()+rand.Text()+"-stable", now.Add(stableLife)
	}
	expires := int(t.expires.Sub(now).Seconds())
	if f.ExpiresIn != 0 {
		expires = f.ExpiresIn
	}
	return body(map[string]any{"access_token": t.token, "expires_in": expires})
}

// Supersede invalidates an application's token, as a forced renewal does. The next
// call of stable_token returns a new one.
func (s *Server) Supersede(appID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, appID)
}

// Forced returns the number of forced renewals. WeChat allows twenty a day.
func (s *Server) Forced() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forced
}

// AccessTokens returns all valid access tokens, of applications and of users.
func (s *Server) AccessTokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Keys(s.asked))
	for _, t := range s.tokens {
		all = append(all, t.token)
	}
	return all
}

// readCall decodes the body of a POST with an access_token. It returns the token's
// application, or the errcode. Called with mu held.
func readCall(s *Server, r *http.Request, into any) (app App, refusal int) {
	if r.Method != http.MethodPost {
		return App{}, 43002
	}
	if app, refusal = s.checkToken(r.URL.Query().Get("access_token")); refusal != 0 {
		return app, refusal
	}
	if json.NewDecoder(r.Body).Decode(into) != nil {
		return app, 47001
	}
	return app, 0
}

// checkToken returns the application of an access_token, or the errcode. Called with
// mu held.
func (s *Server) checkToken(token string) (app App, refusal int) {
	if token == "" {
		return App{}, 41001
	}
	now := s.now()
	for id, t := range s.tokens {
		switch {
		case token == t.token && now.Before(t.expires), token == t.before && now.Before(t.beforeExpires):
			return s.apps[id], 0
		case token == t.token, token == t.before:
			return App{}, 42001
		}
	}
	return App{}, 40001
}
