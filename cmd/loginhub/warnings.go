package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// reconnectTime is how long a page may need to reconnect for its token. It closes
	// a silent connection after 45 s, reconnects within 2 s, and tries again within
	// 10 s (frontend/client, api/PROTOCOL.md).
	reconnectTime = 45*time.Second + 2*time.Second + 10*time.Second
	// providerCall is the time-out of one call of a provider (package api).
	providerCall = 10 * time.Second
	// shortestGrace is the shortest time after which a shipped configuration kills a
	// stopping node: compose.yaml's stop_grace_period.
	shortestGrace = 25 * time.Second
	// expiryWarning is the time before a certificate's end from which the node warns.
	// For short-lived certificates it is a fifth of their life.
	expiryWarning = 14 * 24 * time.Hour
)

// warnings returns settings that are valid but probably a mistake, with what to do.
func (s *settings) warnings(now time.Time) []string {
	texts := s.safeguardWarnings()
	for _, c := range s.clients {
		if len(c.Origins) == 0 && !c.OpenID() {
			texts = append(texts, fmt.Sprintf("client %s: it has no origins, so no page of a site can wait for its tickets, only programs that send no Origin; "+
				"name the site under origins, for example [https://www.example.com]", c.ID))
		}
	}
	if s.AdminListen != "" && s.AdminToken == "" && !isLoopbackListen(s.AdminListen) {
		texts = append(texts, fmt.Sprintf("LOGINHUB_ADMIN_LISTEN is %s, which other machines may reach, and there is no LOGINHUB_ADMIN_TOKEN_FILE: anyone who reaches it can switch logins off, "+
			"revoke keys and read the node's memory in profiles; set a token, or listen on 127.0.0.1", s.AdminListen))
	}
	if isLoopbackListen(s.Listen) && len(s.proxies) > 0 && !slices.ContainsFunc(s.proxies, containsLoopback) {
		texts = append(texts, fmt.Sprintf("LOGINHUB_LISTEN is %s, which only this machine reaches, and LOGINHUB_TRUSTED_PROXIES has only proxies on others: "+
			"listen on an address that they reach, for example :8080, or trust 127.0.0.1/32 if the proxy is on this machine", s.Listen))
	}
	if info, err := os.Stat(filepath.Dir(s.AuditFile)); s.AuditFile != "" && (err != nil || !info.IsDir()) {
		texts = append(texts, fmt.Sprintf("LOGINHUB_AUDIT_FILE: the folder %s does not exist or cannot be read, and without it no node starts; "+
			"make it, with the node's user as its owner (the systemd unit makes /var/log/loginhub)", filepath.Dir(s.AuditFile)))
	}
	texts = append(texts, placesWarnings(s.places, now)...)
	texts = append(texts, s.insecureOrigins()...)
	texts = append(texts, s.durationWarnings()...)
	for _, c := range s.certificates() {
		if text := c.warning(now, s.publicOrigin); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

func containsLoopback(p netip.Prefix) bool {
	return p.Addr().IsLoopback() || p.Contains(netip.IPv6Loopback()) || p.Contains(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}

// insecureOrigins warns of http origins under an https public URL: anyone on the
// network path can change such a page and read its tokens. Loopback origins are
// exempt, because they have no network path. It also warns of pages that cannot
// make the key that their client demands.
func (s *settings) insecureOrigins() (texts []string) {
	for _, c := range s.clients {
		for _, origin := range append([]string{s.publicOrigin}, c.Origins...) {
			switch {
			case !strings.HasPrefix(origin, "http://") || isLoopbackURL(origin):
			case c.RequiresPageKey():
				texts = append(texts, fmt.Sprintf("client %s: token_encryption is require, and browsers make no key at %s, so its pages get no ticket; serve them over https", c.ID, origin))
			case strings.HasPrefix(s.publicOrigin, "https://"):
				texts = append(texts, fmt.Sprintf("client %s: the origin %s is not https, so anyone on the network path can read its tokens; "+
					"serve the site over https and change origins in the clients file", c.ID, origin))
			}
		}
	}
	return texts
}

// durationWarnings returns durations that do not fit together.
func (s *settings) durationWarnings() (texts []string) {
	if s.ResultTTL < reconnectTime {
		texts = append(texts, fmt.Sprintf("LOGINHUB_RESULT_TTL is %v, and a page that loses its connection may need %v to come back for its token "+
			"(45s of silence, up to 2s until it connects again, up to 10s until the next try): such logins are lost; set %v or more", s.ResultTTL, reconnectTime, reconnectTime))
	}
	for name, ttl := range map[string]time.Duration{"TICKET": s.TicketTTL, "CONFIRM": s.ConfirmTTL} {
		if ttl <= providerCall {
			texts = append(texts, fmt.Sprintf("LOGINHUB_%s_TTL is %v, but one call of a provider may take %v: the ticket may expire during the user's own call; set more", name, ttl, providerCall))
		}
	}
	if all := s.Drain + shutdownTimeout; all > shortestGrace {
		texts = append(texts, fmt.Sprintf("LOGINHUB_DRAIN is %v, so a stop takes up to %v: systemd's TimeoutStopSec (30s in the unit), Kubernetes' terminationGracePeriodSeconds "+
			"and compose's stop_grace_period (25s) must be above that, or the node is killed while it drains", s.Drain, all))
	}
	return texts
}

// namedCertificate is a certificate in a file that a setting names.
type namedCertificate struct {
	label   string // label of the metric
	setting string
	path    string
	cert    *x509.Certificate
}

// certificates returns all certificates of the settings that are in use.
func (s *settings) certificates() (all []namedCertificate) {
	if s.certificate != nil {
		all = append(all, namedCertificate{"public", "LOGINHUB_TLS_CERT", s.TLSCert, s.certificate.current.Load().Leaf})
	}
	if s.redisCert != nil {
		all = append(all, namedCertificate{"redis_client", "LOGINHUB_REDIS_CERT", s.RedisCert, s.redisCert.current.Load().Leaf})
	}
	if len(s.redisCAs) > 0 { // the one that lasts longest: others may be left from a renewal
		last := slices.MaxFunc(s.redisCAs, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		all = append(all, namedCertificate{"redis_ca", "LOGINHUB_REDIS_CA", s.RedisCA, last})
	}
	return all
}

// warning says what is wrong with the certificate now or soon; "" if nothing is.
func (c namedCertificate) warning(now time.Time, public string) string {
	from, until := c.cert.NotBefore, c.cert.NotAfter
	where := fmt.Sprintf("%s: %s: the certificate %.64q", c.setting, c.path, c.cert.Subject.CommonName)
	soon := min(expiryWarning, until.Sub(from)/5)
	switch {
	case now.After(until):
		return fmt.Sprintf("%s has expired at %s, so its peers refuse it; replace the file, which is read without a restart", where, until.UTC().Format(time.RFC3339))
	case now.Before(from):
		return fmt.Sprintf("%s is not valid before %s; check this machine's clock", where, from.UTC().Format(time.RFC3339))
	case now.Add(soon).After(until):
		return fmt.Sprintf("%s expires at %s; renew it", where, until.UTC().Format(time.RFC3339))
	case c.label != "public" || !strings.HasPrefix(public, "https://"):
		return ""
	}
	u, err := url.Parse(public)
	if err == nil {
		err = c.cert.VerifyHostname(u.Hostname())
	}
	if err != nil {
		return fmt.Sprintf("%s is not for the host of LOGINHUB_PUBLIC_URL, so browsers refuse it: %v", where, err)
	}
	return ""
}

// pemCertificates returns the certificates of a PEM file. It skips certificates that
// Go cannot parse, as x509.CertPool does: system bundles contain some.
func pemCertificates(text []byte) (all []*x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			all = append(all, cert)
		}
	}
	return all
}
