package oidc

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/hub/client"
)

// Methods of client authentication (OpenID Connect Core 1.0, section 9).
var authMethods = []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"}

// assertionType is the client_assertion_type of private_key_jwt (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// readForm returns the parameters of an endpoint that takes a form. A parameter without a
// value counts as missing, and each may be given once (RFC 6749, section 3.2).
func readForm(c echo.Context) (url.Values, error) {
	form, err := request.ReadForm(c)
	if err != nil {
		return nil, err
	}
	return form, cleanParams(form)
}

// cleanParams removes parameters without a value and refuses repeated ones.
func cleanParams(params url.Values) error {
	for name, values := range params {
		if len(values) > 1 {
			return newError("invalid_request", "a parameter is given twice: "+printable(name))
		}
		if values[0] == "" {
			delete(params, name)
		}
	}
	return nil
}

// printable returns a name for an error description (RFC 6749, section 5.2), shortened.
func printable(name string) string {
	name = name[:min(len(name), 40)]
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, name)
}

// credentials are how a client authenticates, as it was sent.
type credentials struct {
	method, id, secret, assertion string
}

// errClient is the one answer to every failed authentication. It does not say which part
// was wrong.
var errClient = newError("invalid_client", "client authentication failed")

// readCredentials returns the credentials of a request. More than one method at once is
// an error (RFC 6749, section 2.3).
func readCredentials(r *http.Request, form url.Values) (credentials, error) {
	found := credentials{method: "none", id: form.Get("client_id")}
	methods := 0
	if header := r.Header.Values("Authorization"); len(header) > 0 {
		id, secret, ok := parseBasic(header)
		if !ok || found.id != "" && found.id != id {
			return found, errClient
		}
		found.method, found.id, found.secret = "client_secret_basic", id, secret
		methods++
	}
	if form.Has("client_secret") {
		found.method, found.secret = "client_secret_post", form.Get("client_secret")
		methods++
	}
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		found.method, found.assertion = "private_key_jwt", form.Get("client_assertion")
		if form.Get("client_assertion_type") != assertionType {
			return found, newError("invalid_request", "client_assertion_type must be "+assertionType)
		}
		methods++
	}
	if methods > 1 {
		return found, newError("invalid_request", "more than one method of client authentication")
	}
	return found, nil
}

// parseBasic returns id and secret of the Basic scheme. Both are form-urlencoded before
// they are joined (RFC 6749, section 2.3.1).
func parseBasic(header []string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(header[0], " ")
	if len(header) > 1 || !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	if id, err = url.QueryUnescape(id); err != nil {
		return "", "", false
	}
	plain, err := url.QueryUnescape(secret)
	return id, plain, err == nil
}

// authenticate returns the client of a request, which has proven what its settings ask
// for. endpoint is the path of the endpoint, an audience of assertions.
func (h *Handlers) authenticate(c echo.Context, form url.Values, endpoint string) (*client.Client, error) {
	sent, err := readCredentials(c.Request(), form)
	cfg := gate.ConfigOf(c)
	site := cfg.ClientByID[sent.id]
	switch {
	case err != nil:
	case sent.method == "private_key_jwt":
		site, err = h.assertions.authenticate(c.Request().Context(), cfg, sent, endpoint)
	case !sent.proves(site):
		err = errClient
	}
	if errors.Is(err, errClient) {
		name := UnknownClient
		if site != nil && site.OpenID() {
			name = site.ID
		}
		h.options.Metrics.IncClientRefused(name, credentialNames[sent.method])
	}
	if err != nil {
		return nil, err
	}
	return site, nil
}

// proves reports whether the credentials without an assertion are those of the client; nil
// means that none is configured.
func (sent credentials) proves(site *client.Client) bool {
	switch {
	case site == nil || !site.OpenID():
		return false
	case sent.method == "none":
		return site.Public()
	}
	return site.HasSecret(sent.secret)
}
