package main

import (
	"slices"

	"loginhub/api/gate"
	"loginhub/api/token"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/keys"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// reloadable is everything that a reload replaces. reloader.derive creates it from
// settings; it does not change afterwards.
type reloadable struct {
	set       *settings
	providers *providerBuilder
	secrets   *redisstore.SecretKeyring
	node      hub.Reloadable
	server    gate.Reloadable
}

// derive creates the reloadable values of settings, without applying them. Providers
// with unchanged credentials keep their connections and tokens.
func (r *reloader) derive(set *settings) (*reloadable, error) {
	usable := set.usable(r.shared)
	signer, err := token.NewSigner(usable, set.rsaKeys(r.shared))
	if err != nil {
		return nil, err
	}
	seals, err := set.keyring(r.shared.Revoked...)
	if err != nil {
		return nil, err
	}
	ring, err := secretRing(usable, set.RecordVersion)
	if err != nil {
		return nil, err
	}
	clients := set.clients
	if clients == nil {
		clients = r.endpoints.clients
	}
	l := &reloadable{set: set, secrets: ring,
		providers: &providerBuilder{set: set, secrets: r.secrets, log: r.app.log, metrics: r.app.metrics, endpoints: r.endpoints, cache: providerCache{}},
		node: hub.Reloadable{Keys: seals, Signer: signer, Clients: clientIDs(clients), UserLabel: set.userLabel(),
			Masters: set.masters, NeedsRSA: needsRSA(clients) && len(set.rsa) == 0},
		server: gate.Reloadable{Signer: signer, Clients: clients, QRLogo: set.logo, Kinds: kinds(), Sandbox: set.sandbox()}}
	if r.current != nil {
		l.providers.previous = r.current.providers.cache
	}
	err = l.providers.providers(&l.server)
	l.providers.previous = nil
	return l, err
}

// usable returns the master keys that are not revoked, newest first.
func (s *settings) usable(shared hub.SharedKeys) []keys.MasterKey {
	return slices.DeleteFunc(slices.Clone(s.masters), func(m keys.MasterKey) bool { return slices.Contains(shared.Revoked, m.ID()) })
}

// needsRSA reports whether some client wants RS256 tokens.
func needsRSA(clients []*client.Client) bool {
	return slices.ContainsFunc(clients, func(c *client.Client) bool {
		return c.TokenAlg == client.AlgRS256 || c.OpenID() && c.IDTokenAlg == client.AlgRS256
	})
}

// rsaKeys returns the RSA keys of each master key: those of LOGINHUB_RSA_KEY_FILE, of
// which the first signs, and those that the nodes share.
func (s *settings) rsaKeys(shared hub.SharedKeys) map[string]token.RSAKeys {
	all := map[string]token.RSAKeys{}
	for _, m := range s.masters {
		k := token.RSAKeys(shared.RSA[m.ID()])
		if len(s.rsa) > 0 {
			k = token.RSAKeys{Signing: s.rsa[0], Published: slices.Concat(s.rsa, k.Published)}
		}
		all[m.ID()] = k
	}
	return all
}

// keyring returns the keys that seal and open records.
func (s *settings) keyring(revoked ...string) (*ticket.Keyring, error) {
	var keys []ticket.Key
	for _, m := range s.masters {
		keys = append(keys, ticket.Key{ID: m.ID(), Encrypt: m.Encrypt(), Seal: m.Seal(), Match: m.Match(), Code: m.Code(), Known: m.Known(), Request: m.Request(), Frame: m.Frame()})
	}
	ring, err := ticket.NewKeyring(keys)
	if err != nil {
		return nil, err
	}
	if ring, err = ring.WithRevoked(revoked...); err != nil {
		return nil, err
	}
	return ring.WithVersion(s.RecordVersion)
}

// secretRing returns the keys that encrypt what nodes share besides records.
func secretRing(masters []keys.MasterKey, version int) (*redisstore.SecretKeyring, error) {
	var all []redisstore.SecretKey
	for _, m := range masters {
		all = append(all, redisstore.SecretKey{ID: m.ID(), Key: m.SecretStore(), AES: m.SecretStoreAES()})
	}
	ring, err := redisstore.NewSecretKeyring(all)
	if err != nil {
		return nil, err
	}
	return ring.WithVersion(version), nil
}
