package main

import (
	"loginhub/api"
	"loginhub/api/token"
	"loginhub/hub"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// live is all that a reload replaces. It is derived from settings in one place,
// reloader.derive, and does not change.
type live struct {
	set   *settings
	sites *providerBuilder
	vault *redisstore.SecretKeyring
	node  hub.Reloadable
	edge  api.Reloadable
}

// derive makes what is reloadable out of settings. It puts nothing into force.
// Providers whose credentials are as before keep their connections and tokens.
func (r *reloader) derive(set *settings) (*live, error) {
	signer, err := token.NewSigner(set.masters)
	if err != nil {
		return nil, err
	}
	seals, err := set.keyring()
	if err != nil {
		return nil, err
	}
	ring, err := set.vaultRing()
	if err != nil {
		return nil, err
	}
	clients := set.clients
	if clients == nil {
		clients = r.place.clients
	}
	l := &live{set: set, vault: ring,
		sites: &providerBuilder{set: set, vault: r.vault, log: r.app.log, meter: r.app.metrics.wechat, hub: r.place.issuer, made: map[any]any{}},
		node:  hub.Reloadable{Keys: seals, Signer: signer, Clients: clientIDs(clients), UserLabel: set.who()},
		edge:  api.Reloadable{Signer: signer, Clients: clients, QRLogo: set.logo, Sandbox: set.sandbox()}}
	if r.live != nil {
		l.sites.former = r.live.sites.made
	}
	err = l.sites.providers(&l.edge)
	l.sites.former = nil
	return l, err
}

// keyring is what seals and opens records.
func (s *settings) keyring() (*ticket.Keyring, error) {
	var keys []ticket.Key
	for _, m := range s.masters {
		keys = append(keys, ticket.Key{ID: m.ID(), Seal: m.Seal(), Match: m.Match()})
	}
	return ticket.NewKeyring(keys)
}

// vaultRing encrypts what nodes share beside the records.
func (s *settings) vaultRing() (*redisstore.SecretKeyring, error) {
	var keys []redisstore.SecretKey
	for _, m := range s.masters {
		keys = append(keys, redisstore.SecretKey{ID: m.ID(), Key: m.SecretStore()})
	}
	return redisstore.NewSecretKeyring(keys)
}
