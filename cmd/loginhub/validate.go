package main

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"loginhub/api/qr"
	"loginhub/cmd/loginhub/tracing"
	"loginhub/hub/client"
	"loginhub/hub/keys"
	"loginhub/hub/redisstore"
)

// settings is a valid configuration.
type settings struct {
	*Config
	publicOrigin      string // public URL without a trailing slash; "" if none is set
	masters           []keys.MasterKey
	rsa               []*rsa.PrivateKey // of LOGINHUB_RSA_KEY_FILE
	proxies           []netip.Prefix
	clients           []*client.Client       // nil: the default client
	site              credentials            // of all clients without their own
	clientCredentials map[string]credentials // complete, by client with its own
	logo              *qr.Logo
	verify            [2]string           // name and text of WeChat's verification file
	certificate       *certificate        // nil: a proxy ends TLS
	redisCert         *certificate        // nil: none
	redisCAs          []*x509.Certificate // authorities of Redis
	redisTLS          *tls.Config         // nil: Go's defaults
	traces            tracing.Settings
}

// rule is one check of the settings: what is wrong, and how to correct it.
type rule struct {
	setting string
	broken  bool
	hint    string
}

// validate parses and checks all settings. Its error lists everything that is wrong.
func (c *Config) validate() (*settings, error) {
	s := &settings{Config: c}
	var errs []error
	note := func(setting string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", setting, err))
		}
	}
	var err error
	s.publicOrigin, err = publicURL(c.PublicURL)
	note("LOGINHUB_PUBLIC_URL", err)
	if c.Keys != "" {
		s.masters, err = keys.ParseMasterKeys(c.Keys)
		if c.KeysFile != "" {
			note("LOGINHUB_KEYS_FILE: "+c.KeysFile, err)
		} else {
			note("LOGINHUB_KEYS", err)
		}
	} else if c.embedded() {
		s.masters = []keys.MasterKey{keys.NewMasterKey()}
	}
	s.rsa, err = readRSAKeys(c.RSAKeyFile, c.read)
	note("LOGINHUB_RSA_KEY_FILE", err)
	s.proxies, err = prefixes(c.TrustedProxies)
	note("LOGINHUB_TRUSTED_PROXIES", err)
	s.site, err = c.credentials()
	errs = append(errs, err)
	c.hasProviders = err != nil // not known then: the sandbox is not what is wrong
	path, setting := c.Clients, "LOGINHUB_CLIENTS"
	if c.file != nil && c.file.clients != nil {
		path, setting = c.ConfigFile, "--config"
	}
	if path != "" {
		with, err := c.readClients(path, s.site)
		note(setting, err)
		c.hasProviders = c.hasProviders || err != nil
		s.clients, s.site, s.clientCredentials = with.clients, with.site, with.own
	}
	for _, with := range s.allCredentials() {
		c.hasProviders = c.hasProviders || len(with.providers) > 0
	}
	s.verify, err = verifyFile(c.WechatVerifyFile)
	note("LOGINHUB_WECHAT_VERIFY_FILE", err)
	s.logo, err = readLogo(c.QRLogo, c.read)
	note("LOGINHUB_QR_LOGO", err)
	note("LOGINHUB_QR", s.checkQR())
	if c.MaxSockets == 0 {
		c.MaxSockets = waitersFromFileLimit()
	}
	if c.TLSCert != "" && c.TLSKey != "" {
		s.certificate, err = newCertificate(c.TLSCert, c.TLSKey, c.read)
		note("LOGINHUB_TLS_CERT", err)
	}
	note("LOGINHUB_REDIS_CA", s.readRedisTLS())
	c.places, err = c.openPlaces()
	note("LOGINHUB_GEOIP_FILE", err)
	s.traces, err = tracing.Read()
	errs = append(errs, err)
	for _, row := range s.rules() {
		if row.broken {
			errs = append(errs, fmt.Errorf("%s: %s", row.setting, row.hint))
		}
	}
	return s, errors.Join(errs...)
}

// rules returns all checks except parsing.
func (s *settings) rules() []rule {
	c := s.Config
	https := strings.HasPrefix(s.publicOrigin, "https://")
	rows := []rule{
		{"LOGINHUB_LISTEN", !isListenAddress(c.Listen), listenHint(c.Listen)},
		{"LOGINHUB_ADMIN_LISTEN", c.AdminListen != "" && !isListenAddress(c.AdminListen), listenHint(c.AdminListen) + "; empty turns it off"},
		{"LOGINHUB_ADMIN_TOKEN", c.AdminToken != "" && !adminToken.MatchString(c.AdminToken), "32 to 256 letters, digits or -._~+/; make one with `openssl rand -hex 32`"},
		{"LOGINHUB_ADMIN_TOKEN", c.AdminToken != "" && strings.Contains(c.Keys, c.AdminToken), "it is one of LOGINHUB_KEYS; make one of its own with `openssl rand -hex 32`"},
		{"LOGINHUB_KEYS", c.Keys == "" && !c.embedded(),
			"required with a Redis of your own; make one with `loginhub keygen` and give the same to every node"},
		{"LOGINHUB_REDIS_URL", https && c.RedisURL == "",
			"an https public URL is production, and the embedded Redis forgets everything at a restart; set the URL of a Redis, or 'embedded' if you mean it"},
		{"LOGINHUB_SANDBOX", https && c.sandbox() && !c.Sandbox,
			"an https public URL is production, and in the sandbox anyone can log in as anyone; configure a provider (LOGINHUB_WECHAT_APP_ID, or `providers` in the file), or set it to true (`sandbox: true` in the file) if you mean it"},
		{"LOGINHUB_WECHAT_APP_SECRET", (c.WechatAppID == "") != (c.WechatAppSecret == ""),
			"LOGINHUB_WECHAT_APP_ID and this one go together; WeChat's console shows both"},
		{"LOGINHUB_WECHAT_WEB_APP_SECRET", (c.WechatWebAppID == "") != (c.WechatWebAppSecret == ""),
			"LOGINHUB_WECHAT_WEB_APP_ID and this one go together; the Open Platform's console shows both"},
		{"LOGINHUB_APP_ISSUER", (c.AppJWKSURL == "") != (c.AppIssuer == ""),
			"LOGINHUB_APP_JWKS_URL and this one go together"},
		{"LOGINHUB_PUBLIC_URL", s.publicOrigin == "" && s.needsPublicURL(),
			"required, because WeChat's website login redirects to it, and an app's assertions name it as their aud"},
		{"LOGINHUB_QR_LEVEL", c.QRLogo != "" && (c.QRLevel == "L" || c.QRLevel == "M"), "with a logo Q or H, or the code does not read"},
		{"LOGINHUB_PUBLIC_URL", strings.HasPrefix(s.publicOrigin, "http://") && !isLocalURL(s.publicOrigin) && !c.InsecureHTTP,
			"http is for local addresses only, because anyone on the network path can read tokens; use https, or set LOGINHUB_INSECURE_HTTP=true if you mean it"},
		{"LOGINHUB_TLS_CERT", (c.TLSCert == "") != (c.TLSKey == ""), "LOGINHUB_TLS_CERT and LOGINHUB_TLS_KEY go together"},
		{"LOGINHUB_REDIS_CERT", (c.RedisCert == "") != (c.RedisKey == ""), "LOGINHUB_REDIS_CERT and LOGINHUB_REDIS_KEY go together"},
		{"LOGINHUB_REDIS_URL", c.RedisCA+c.RedisCert != "" && !strings.HasPrefix(c.RedisURL, "rediss://"),
			"LOGINHUB_REDIS_CA and LOGINHUB_REDIS_CERT are for TLS: the URL must begin with rediss://"},
		{"LOGINHUB_AUDIT_CHAIN", c.AuditChain && c.AuditFile == "", "it links the lines of a file: set LOGINHUB_AUDIT_FILE too"},
		{"LOGINHUB_ACCESS_LOG", !(c.AccessLog >= 0 && c.AccessLog <= 1), "a share from 0 to 1, such as 0.01"},
		{"LOGINHUB_PROXY_PROTOCOL", c.ProxyProtocol && len(s.proxies) == 0,
			"set LOGINHUB_TRUSTED_PROXIES to the proxies that send the header; no one else may"},
		{"LOGINHUB_RATE_LIMIT", c.RateLimit < 0, "cannot be negative; 0 turns the limit off"},
		{"LOGINHUB_REDIS_WAIT", c.RedisWait < 0 || c.RedisWait > 0 && c.embedded(), "how many replicas, from 0; the embedded Redis has none"},
		{"LOGINHUB_REDIS_SHARDED", c.RedisSharded && !redisstore.IsCluster(c.RedisURL),
			"only a Redis Cluster has shards: leave it out, or if LOGINHUB_REDIS_URL is a Cluster's, add ?cluster=true to it"},
		{"LOGINHUB_REDIS_PREFIX", !redisPrefix.MatchString(c.RedisPrefix),
			"like loginhub or team-a: at most 32 letters, digits, dots, dashes and underscores, a letter or digit first; a colon follows by itself"},
		{"LOGINHUB_MAX_SOCKETS", c.MaxSockets < 0, "cannot be negative; unset takes it from the file limit"},
		{"LOGINHUB_DRAIN", c.Drain < 0 || c.Drain > time.Hour, "from 0s to 1h"},
		{"LOGINHUB_TOKEN_TTL", c.TokenTTL < c.ResultTTL+time.Minute,
			fmt.Sprintf("at least LOGINHUB_RESULT_TTL and a minute (%v), or a token that waits for its browser arrives expired", c.ResultTTL+time.Minute)},
	}
	for _, client := range s.clients {
		rows = append(rows, rule{"LOGINHUB_RECORD_VERSION", client.TokenAlg == "RS256" && c.RecordVersion < 2, "client " + client.ID + ": token_alg RS256 needs version 2"})
		rows = append(rows, rule{"LOGINHUB_RECORD_VERSION", client.DeliversCode() && c.RecordVersion < 2, "client " + client.ID + ": delivery code needs version 2"})
		rows = append(rows, rule{"LOGINHUB_CLIENTS", client.TokenTTL > 0 && client.TokenTTL < c.ResultTTL+time.Minute,
			fmt.Sprintf("client %s: token_ttl is below LOGINHUB_RESULT_TTL and a minute (%v)", client.ID, c.ResultTTL+time.Minute)})
	}
	for name, ttl := range map[string]time.Duration{"TICKET": c.TicketTTL, "CONFIRM": c.ConfirmTTL, "RESULT": c.ResultTTL, "TOKEN": c.TokenTTL} {
		rows = append(rows, rule{"LOGINHUB_" + name + "_TTL", ttl < 100*time.Millisecond || ttl > 24*time.Hour, "from 100ms to 24h"})
	}
	return rows
}

// adminToken is what RFC 6750, section 2.1 allows in an Authorization header. 32 hexadecimal
// digits are 128 bits, so guesses need no limit.
var adminToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]{32,256}=*$`)

// redisPrefix allows no colon inside, so that the keys of one prefix never include
// those of another. It allows no brace, which would place all keys on one master of a
// Cluster, and no pattern characters of users.acl.
var redisPrefix = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}:?$`)

// readRSAKeys reads the keys of a PEM file; none without a path.
func readRSAKeys(path string, read func(string) ([]byte, error)) ([]*rsa.PrivateKey, error) {
	if path == "" {
		return nil, nil
	}
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	all, err := keys.ParseRSAPEM(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

// prefixes parses CIDRs and single addresses. IPv4-mapped IPv6 prefixes become IPv4,
// as the compared addresses do.
func prefixes(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("%.64q is not a CIDR; expected for example 10.0.0.7/32", text)
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		if p.Addr().Is4In6() { // fewer than 96 bits would cover more than IPv4
			p = netip.PrefixFrom(p.Addr().Unmap(), max(0, p.Bits()-96))
		}
		if p.Bits() == 0 {
			return nil, fmt.Errorf("%.64q is every address, so any X-Forwarded-For of a browser would be trusted; "+
				"name the proxy's own addresses, for example 10.0.0.7/32", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
