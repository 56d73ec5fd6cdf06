package oidc

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
)

// DPoP (RFC 9449) binds tokens to a key of the client: a proof is a JWT that the key has
// signed for one request. The hub gives no nonces. They would cost each client another
// round trip, and a proof is accepted once, for a minute, on all nodes without them.
const (
	dpopHeader = "DPoP"
	dpopType   = "dpop+jwt"
	// dpopWindow is how far iat may be from Redis's clock, in both directions.
	dpopWindow = time.Minute
	// dpopMemory is how long a jti is kept: as long as its proof can be valid, and the
	// error of the nodes' clocks.
	dpopMemory = 2*dpopWindow + 5*time.Second

	maxDPoPProof = 8 << 10 // bytes
	maxDPoPID    = 256     // bytes of the jti
	minRSA       = 2048    // bits (RFC 7518, section 3.3); go-jose takes at most 4096
)

// dpopAlgorithms are all asymmetric (RFC 9449, section 4.3, step 5).
var dpopAlgorithms = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256, jose.PS256}

// dpopProof is a proof that fits its request. spend checks that it is the first use.
type dpopProof struct {
	key    string // thumbprint of the public key (RFC 7638)
	jti    string
	states gate.StateStore
	spent  bool
}

// dpopTarget is the request that a proof must be made for.
type dpopTarget struct {
	method, url string
	token       string // access token of the request; "" for none
	now         time.Time
}

// errDPoP returns the error of a proof, which says how to mend it.
func errDPoP(format string, args ...any) *Error {
	return newError("invalid_dpop_proof", fmt.Sprintf(format, args...))
}

// errDPoPForm is the error of every text that no key has signed as a proof.
var errDPoPForm = errDPoP("the DPoP header must be a JWT of type %s, signed by the public key in its jwk with one of %s", dpopType, joinAlgorithms())

// readDPoP returns the proof of a request to the endpoint at path; nil if there is none.
// token is the access token that the proof must belong to, or "".
func (h *Handlers) readDPoP(c echo.Context, path, token string) (*dpopProof, error) {
	sent := c.Request().Header.Values(dpopHeader)
	switch len(sent) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, errDPoP("send one DPoP header")
	}
	proof, err := parseDPoP(sent[0], dpopTarget{method: c.Request().Method, url: h.issuerURL + path, token: token, now: h.states.Now()})
	if err != nil {
		return nil, err
	}
	proof.states = h.states
	return proof, nil
}

// parseDPoP returns a proof after the checks of RFC 9449, section 4.3, except the first
// use of its jti.
func parseDPoP(text string, target dpopTarget) (*dpopProof, error) {
	if len(text) > maxDPoPProof {
		return nil, errDPoPForm
	}
	parsed, err := jwt.ParseSigned(text, dpopAlgorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return nil, errDPoPForm
	}
	header := parsed.Headers[0]
	jwk := header.JSONWebKey
	if header.ExtraHeaders[jose.HeaderType] != dpopType || jwk == nil || !jwk.IsPublic() {
		return nil, errDPoPForm
	}
	if key, ok := jwk.Key.(*rsa.PublicKey); ok && key.N.BitLen() < minRSA {
		return nil, errDPoP("an RSA key must have at least %d bits", minRSA)
	}
	var claims struct {
		ID       string           `json:"jti"`
		Method   string           `json:"htm"`
		URL      string           `json:"htu"`
		IssuedAt *jwt.NumericDate `json:"iat"`
		Hash     string           `json:"ath"`
	}
	if parsed.Claims(jwk.Key, &claims) != nil { // verifies the signature
		return nil, errDPoPForm
	}
	sum := sha256.Sum256([]byte(target.token))
	switch {
	case claims.ID == "" || len(claims.ID) > maxDPoPID:
		return nil, errDPoP("jti must have 1 to %d bytes", maxDPoPID)
	case claims.Method != target.method:
		return nil, errDPoP("htm must be %s", target.method)
	case normalURL(claims.URL) != normalURL(target.url):
		return nil, errDPoP("htu must be %s", target.url)
	case target.token != "" && subtle.ConstantTimeCompare([]byte(claims.Hash), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) != 1:
		return nil, errDPoP("ath must be the SHA-256 of the access token in base64url")
	}
	if ahead := claims.IssuedAt.Time().Sub(target.now).Round(time.Second); ahead.Abs() > dpopWindow {
		return nil, errDPoP("iat must be at most %d seconds from the time of this hub: make a new proof, and set the clock of this client", dpopWindow/time.Second)
	}
	print, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, errDPoPForm
	}
	return &dpopProof{key: base64.RawURLEncoding.EncodeToString(print), jti: claims.ID}, nil
}

// spend returns an error if the proof was used before, on any node. It costs one command.
// Called after everything else fits, so that a stranger's requests store nothing. Further
// calls for the same request return nil.
func (p *dpopProof) spend(ctx context.Context) error {
	if p == nil || p.spent {
		return nil
	}
	sum := sha256.Sum256([]byte(p.key + "\x00" + p.jti))
	first, err := p.states.SetNX(ctx, "dpop:"+base64.RawURLEncoding.EncodeToString(sum[:16]), dpopMemory)
	if err != nil {
		return err
	}
	if !first {
		return errDPoP("the proof was used before: make a new one, with its own jti, for each request")
	}
	p.spent = true
	return nil
}

// thumbprint returns the proof's key; "" without a proof.
func (p *dpopProof) thumbprint() string {
	if p == nil {
		return ""
	}
	return p.key
}

// errOtherKey is the error of a code or refresh token that is bound to another key.
var errOtherKey = newError("invalid_grant", "it is bound to another key than that of the DPoP proof")

// requireKey returns an error if key, to which a code or refresh token is bound, is not
// the proof's. "" fits every request.
func (r tokenRequest) requireKey(ctx context.Context, log *slog.Logger, key string) error {
	switch {
	case key == "" || key == r.proof.thumbprint():
		return nil
	case r.proof == nil:
		return errDPoP("it is bound to a key: send a DPoP header with a proof of that key")
	}
	log.WarnContext(ctx, "a code or refresh token came with another DPoP key than its own: somebody may have copied it", "client", r.site.ID)
	return errOtherKey
}

// isThumbprint reports whether the text can be a thumbprint with SHA-256.
func isThumbprint(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == sha256.Size
}

// joinAlgorithms returns the algorithms as the parameter algs of a challenge has them.
func joinAlgorithms() string {
	var names []string
	for _, alg := range dpopAlgorithms {
		names = append(names, string(alg))
	}
	return strings.Join(names, " ")
}

// normalURL returns an http or https URL without query and fragment, normalised as RFC
// 3986, sections 6.2.2 and 6.2.3, allow; "" for everything else.
func normalURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(strings.ToLower(u.RawPath), "%2f") {
		return ""
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme { // lower case already
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return ""
	}
	u = (&url.URL{}).ResolveReference(&url.URL{Scheme: u.Scheme, Host: strings.TrimSuffix(host, ":"), Path: u.Path}) // without dot segments
	return u.String()
}
