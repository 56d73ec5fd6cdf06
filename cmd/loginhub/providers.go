package main

import (
	"fmt"
	"log/slog"

	"loginhub/api/gate"
	"loginhub/cmd/loginhub/metrics"
	"loginhub/hub/provider"
	"loginhub/hub/redisstore"
)

// providerBuilder opens the providers that the settings configure. It sends no request:
// a node starts without its providers and reports errors at the first login.
type providerBuilder struct {
	set       *settings
	secrets   *redisstore.SecretStore
	log       *slog.Logger
	metrics   *metrics.Metrics
	endpoints endpoints
	cache     providerCache
	// previous is the cache before a reload. Providers that are still needed are kept,
	// with their connections and tokens.
	previous providerCache
}

// providerCache has one provider for equal configurations, so that they share a
// connection pool and the provider's quota for codes.
type providerCache map[cacheKey]*provider.Provider

type cacheKey struct {
	providerKey
	pictures bool // Env.Pictures
}

// providers sets the providers and QR codes of the deployment and of clients with
// credentials of their own.
func (b *providerBuilder) providers(c *gate.Reloadable) error {
	deployment := b.set.site
	if b.set.sandbox() {
		e, err := rawProvider{id: developmentKind().Name, kind: developmentKind().Name}.entry(nil)
		if err != nil {
			return err
		}
		deployment = deployment.with(e)
	}
	site, err := b.loginMethods(deployment)
	if err != nil {
		return err
	}
	c.QR, c.Pictures, c.LaunchURL, c.LaunchBy = site.QR, site.Pictures, site.LaunchURL, site.LaunchBy
	c.Providers, c.Listed = site.Providers, site.Listed
	c.LoginMethods = map[string]gate.LoginMethods{}
	for id, own := range b.set.clientCredentials {
		if site, err = b.loginMethods(own); err != nil {
			return fmt.Errorf("client %s: %w", id, err)
		}
		if b.set.sandbox() {
			site.Providers = c.Providers // only the QR code is the client's own
		}
		c.LoginMethods[id] = site
	}
	return nil
}

// loginMethods returns the providers and QR codes of one set of credentials.
func (b *providerBuilder) loginMethods(c credentials) (gate.LoginMethods, error) {
	site := gate.LoginMethods{Providers: map[string]provider.Exchanger{}, QR: c.qr}
	drawer, drawn := c.drawer()
	if !isTemplate(c.qr) {
		site.QR = ""
	}
	for _, e := range c.providers {
		p, err := b.open(e)
		if err != nil {
			return site, err
		}
		site.Listed = append(site.Listed, p)
		if p.Code != nil {
			site.Providers[e.id] = p.Code
		}
		if p.Launch != "" && site.LaunchURL == "" {
			site.LaunchURL, site.LaunchBy = p.Launch, e.id
		}
		if drawn && e.id == drawer.id {
			site.Pictures = p.Pictures
		}
	}
	return site, nil
}

// open returns the provider of an entry, an open one if there is one.
func (b *providerBuilder) open(e providerEntry) (*provider.Provider, error) {
	key := cacheKey{e.key, b.set.usesPictures()}
	p := b.cache[key]
	if p == nil {
		p = b.previous[key]
	}
	if p == nil {
		var err error
		if p, err = e.kind.Open(e.config, provider.Env{ID: e.id, PublicURL: b.set.publicOrigin, Audience: b.endpoints.issuer,
			Store: b.secrets, Log: b.log, Calls: b.metrics.Calls(e.kind.Calls), Pictures: key.pictures}); err != nil {
			return nil, err
		}
	}
	b.cache[key] = p
	return p, nil
}

// usesPictures reports whether some QR code is a provider's picture.
func (s *settings) usesPictures() bool {
	for _, c := range s.allCredentials() {
		if _, drawn := c.drawer(); drawn {
			return true
		}
	}
	return false
}
