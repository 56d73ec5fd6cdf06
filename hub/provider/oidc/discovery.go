package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"loginhub/hub/provider"
)

const (
	// documentLife is how long a discovery document is used before it is read again.
	documentLife = time.Hour
	// discoveryPause is the time between a failed discovery and the next.
	discoveryPause = time.Second
	// rereadPause is the same while an older document is in use.
	rereadPause = time.Minute
)

// upstream is what a discovery document says.
type upstream struct {
	endpoint    oauth2.Endpoint
	keys        *oidc.RemoteKeySet
	algorithms  []string
	namesItself bool // answers of the login page have iss (RFC 9207)
}

// asymmetric are the signature algorithms of ID tokens that are accepted. "none" and
// those of shared secrets are not.
func asymmetric() []string {
	return []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}
}

// discovery is the result of reading the document.
type discovery struct {
	up   *upstream
	err  error
	next time.Time // from which it is read again
}

func (d *discovery) fresh() bool { return d != nil && time.Now().Before(d.next) }

// discover returns the provider's endpoints. If its document cannot be read again, the
// last one is used.
func (l *login) discover(ctx context.Context) (*upstream, error) {
	if d := l.found.Load(); d.fresh() {
		return d.up, d.err
	}
	select {
	case l.turn <- struct{}{}: // one request for all who wait
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, withRetry(fmt.Errorf("%w: discovery: %w", provider.ErrProviderUnavailable, ctx.Err()))
	}
	last := l.found.Load()
	if last.fresh() {
		return last.up, last.err
	}
	// The document is for all who wait: a caller that leaves does not end the request,
	// which has the client's limit.
	up, err := l.readDocument(context.WithoutCancel(ctx))
	d := &discovery{up, err, time.Now().Add(documentLife)}
	switch {
	case err != nil && last != nil && last.up != nil:
		d.up, d.err, d.next = last.up, nil, time.Now().Add(rereadPause)
	case err != nil:
		d.next = time.Now().Add(discoveryPause)
	}
	l.found.Store(d)
	return d.up, d.err
}

// readDocument reads the discovery document (OpenID Connect Discovery 1.0, section 4).
func (l *login) readDocument(ctx context.Context) (*upstream, error) {
	start := time.Now()
	ctx = oidc.ClientContext(ctx, l.client)
	p, err := oidc.NewProvider(ctx, l.issuer)
	var mismatch *oidc.IssuerMismatchError
	meaning := provider.ErrProviderUnavailable
	if errors.As(err, &mismatch) {
		meaning = provider.ErrProviderMisconfigured
	}
	if err != nil {
		l.observe(ctx, callDiscovery, meaning, provider.NetworkCode(err), start)
		return nil, withRetry(fmt.Errorf("%w: discovery: %.300w", meaning, err))
	}
	up, err := l.parse(ctx, p)
	if err != nil {
		l.observe(ctx, callDiscovery, provider.ErrProviderMisconfigured, "none", start)
		return nil, fmt.Errorf("%w: discovery: %w", provider.ErrProviderMisconfigured, err)
	}
	l.observe(ctx, callDiscovery, nil, "ok", start)
	return up, nil
}

// parse returns the endpoints of a document.
func (l *login) parse(ctx context.Context, p *oidc.Provider) (*upstream, error) {
	var document struct {
		JWKSURI    string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
		Methods    []string `json:"token_endpoint_auth_methods_supported"`
		Iss        bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&document); err != nil {
		return nil, err
	}
	up := &upstream{endpoint: p.Endpoint(), keys: oidc.NewRemoteKeySet(ctx, document.JWKSURI), namesItself: document.Iss}
	for name, endpoint := range map[string]string{"authorization_endpoint": up.endpoint.AuthURL, "token_endpoint": up.endpoint.TokenURL, "jwks_uri": document.JWKSURI} {
		bare, _, _ := strings.Cut(endpoint, "?") // those of Entra's B2C have a query
		if err := checkURL(bare); err != nil {
			return nil, fmt.Errorf("%s %.100q: %w", name, endpoint, err)
		}
	}
	for _, alg := range document.Algorithms {
		if slices.Contains(asymmetric(), alg) {
			up.algorithms = append(up.algorithms, alg)
		}
	}
	// Without a fixed style oauth2 would repeat a refused exchange in the other one.
	up.endpoint.AuthStyle = oauth2.AuthStyleInHeader // the default of Discovery
	if l.secret == "" || len(document.Methods) > 0 && !slices.Contains(document.Methods, "client_secret_basic") {
		up.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return up, nil
}
