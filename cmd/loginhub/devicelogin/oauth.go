package devicelogin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
)

// maxAnswer bounds the body of an answer, in bytes.
const maxAnswer = 1 << 20

// deviceGrant is the grant type (RFC 8628, section 3.4).
const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// endpoints is the part of the discovery document that a login needs (OpenID Connect
// Discovery 1.0, section 3).
type endpoints struct {
	Issuer string `json:"issuer"`
	Device string `json:"device_authorization_endpoint"`
	Token  string `json:"token_endpoint"`
	JWKS   string `json:"jwks_uri"`
}

// deviceCode is the answer of the device authorization endpoint (RFC 8628, section 3.2).
type deviceCode struct {
	DeviceCode      string `json:"device_code"`
	UserCode        string `json:"user_code"`
	VerificationURI string `json:"verification_uri"`
	Complete        string `json:"verification_uri_complete"`
	ExpiresIn       int64  `json:"expires_in"`
	Interval        int64  `json:"interval"`
	MatchCode       string `json:"match_code"` // loginhub's: the number to choose on the phone
}

// oauthError is an error answer (RFC 6749, section 5.2).
type oauthError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("the provider answered %d", e.status)
	}
	text := fmt.Sprintf("the provider answered %d %.60s", e.status, printable(e.Code))
	if e.Description == "" {
		return text
	}
	return fmt.Sprintf("%s: %.200s", text, printable(e.Description))
}

// discover reads the provider's discovery document.
func (l *Login) discover(ctx context.Context) (*endpoints, error) {
	at := &endpoints{}
	if err := l.get(ctx, strings.TrimSuffix(l.Issuer, "/")+"/.well-known/openid-configuration", at); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if at.Issuer != l.Issuer {
		return nil, fmt.Errorf("discovery: the issuer calls itself %.200q; give exactly that as --issuer if it is the one you mean", at.Issuer)
	}
	if at.Device == "" {
		return nil, errors.New("discovery: the issuer has no device grant")
	}
	for what, text := range map[string]string{"device_authorization_endpoint": at.Device, "token_endpoint": at.Token, "jwks_uri": at.JWKS} {
		if err := l.checkURL(what, text); err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
	}
	return at, nil
}

// authorizeDevice asks for a code (RFC 8628, section 3.1).
func (l *Login) authorizeDevice(ctx context.Context, at *endpoints) (*deviceCode, error) {
	code := &deviceCode{}
	if err := l.post(ctx, at.Device, url.Values{"client_id": {l.ClientID}, "scope": {l.Scope}}, code); err != nil {
		return nil, fmt.Errorf("device authorization: %w", err)
	}
	if code.DeviceCode == "" || code.UserCode == "" || code.VerificationURI == "" || code.ExpiresIn <= 0 {
		return nil, errors.New("device authorization: the answer is incomplete")
	}
	return code, nil
}

// poll asks for the token once.
func (l *Login) poll(ctx context.Context, at *endpoints, code *deviceCode) (*Token, error) {
	token := &Token{}
	form := url.Values{"client_id": {l.ClientID}, "grant_type": {deviceGrant}, "device_code": {code.DeviceCode}}
	if err := l.post(ctx, at.Token, form, token); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if token.AccessToken == "" {
		return nil, &oauthError{status: http.StatusOK, Description: "the answer has no access token"}
	}
	return token, nil
}

func (l *Login) get(ctx context.Context, at string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	return l.do(r, into)
}

func (l *Login) post(ctx context.Context, at string, form url.Values, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return l.do(r, into)
}

// do sends a request and decodes the answer.
func (l *Login) do(r *http.Request, into any) error {
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", userAgent)
	answer, err := l.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		refused := &oauthError{}
		_ = json.Unmarshal(body, refused) // a proxy's answer is not JSON
		refused.status = answer.StatusCode
		return refused
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer is not JSON: %w", err)
	}
	return nil
}

// userAgent names the program and the system, which the person reads on the phone.
var userAgent = "loginhub (" + systemName(runtime.GOOS) + ")"

// systemName returns the system's name as browsers write it.
func systemName(goos string) string {
	switch goos {
	case "windows":
		return "Windows NT"
	case "darwin":
		return "Macintosh; Mac OS X"
	case "linux":
		return "Linux"
	}
	return goos
}

// printable removes what could control the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}
