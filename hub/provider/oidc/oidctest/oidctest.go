// Package oidctest imitates an OpenID Connect provider: discovery, keys, an authorize page
// and a token endpoint with PKCE and single-use codes.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"loginhub/hub/provider/providertest"
)

// The client that is registered.
const (
	ClientID = "loginhub"
	Secret   = "secret-of-the-openid-client"
)

// Server imitates a provider whose issuer is http and the host of the request. It is safe for concurrent use.
type Server struct {
	providertest.Traffic
	handler http.Handler

	codes providertest.Codes[grant]

	mu     sync.Mutex
	key    *ecdsa.PrivateKey
	change func(claims map[string]any)
}

// grant is a user's consent, with the link to which it was given.
type grant struct {
	user string
	link url.Values
}

// Imitation returns the imitation for tests of whole logins.
func Imitation() providertest.Imitation {
	return providertest.Imitation{New: func(o providertest.Options) http.Handler { return New(o) },
		Fields: "issuer: URL, client_id: " + ClientID + ", client_secret_file: SECRET",
		Secret: Secret, Subject: "oidc:door:sub-alice"}
}

// New returns a Server.
func New(o providertest.Options) *Server {
	s := &Server{}
	s.Rotate()
	mux := http.NewServeMux()
	mux.Handle("/authorize", &providertest.Consent{Options: o, Title: "OpenID", Denied: url.Values{"error": {"access_denied"}},
		Check: func(link url.Values) string {
			if link.Get("client_id") != ClientID || link.Get("response_type") != "code" || link.Get("code_challenge_method") != "S256" || link.Get("nonce") == "" || o.WrongHost(link) {
				return "invalid_request"
			}
			return ""
		},
		Issue: func(user string, link url.Values) string { return s.codes.Issue(grant{user, link}) },
		More:  func(r *http.Request) url.Values { return url.Values{"iss": {"http://" + r.Host}} }})
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		issuer := "http://" + r.Host
		answer(w, 200, map[string]any{"issuer": issuer, "authorization_endpoint": issuer + "/authorize?p=acme", "token_endpoint": issuer + "/token",
			"jwks_uri": issuer + "/keys", "authorization_response_iss_parameter_supported": true, "id_token_signing_alg_values_supported": []string{"none", "HS256", "ES256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		answer(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: keyID(s.key), Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", s.token)
	s.handler = s.Wrap(mux)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Rotate replaces the signing key.
func (s *Server) Rotate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
}

// Change sets what changes the claims of ID tokens; nil for nothing.
func (s *Server) Change(change func(claims map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change = change
}

func answer(w http.ResponseWriter, status int, body any) {
	providertest.JSON(w, status, "application/json", body)
}

// token exchanges a code, once (RFC 6749, section 4.1.3; RFC 7636, section 4.6).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code string) { // the description echoes the code, as some providers do
		answer(w, status, map[string]string{"error": code, "error_description": code + " for " + r.PostFormValue("code")})
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if id != ClientID || secret != Secret || !basic { // the document names no other method
		refuse(http.StatusUnauthorized, "invalid_client")
		return
	}
	g, state := s.codes.Redeem(r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if state != providertest.Good || r.PostFormValue("redirect_uri") != g.link.Get("redirect_uri") || base64.RawURLEncoding.EncodeToString(sum[:]) != g.link.Get("code_challenge") {
		refuse(http.StatusBadRequest, "invalid_grant")
		return
	}
	claims := map[string]any{"iss": "http://" + r.Host, "aud": ClientID, "sub": "sub-" + g.user, "name": g.user, "picture": "https://sso.test/" + g.user + ".png",
		"nonce": g.link.Get("nonce"), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.change != nil {
		s.change(claims)
	}
	answer(w, 200, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 60, "id_token": sign(s.key, claims)})
}

func keyID(key *ecdsa.PrivateKey) string {
	sum := sha256.Sum256(key.X.Bytes())
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// sign returns an ID token.
func sign(key *ecdsa.PrivateKey, claims map[string]any) string {
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: keyID(key)}}, nil)
	if err != nil {
		panic(err)
	}
	object, err := signer.Sign(text)
	if err != nil {
		panic(err)
	}
	compact, err := object.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}
