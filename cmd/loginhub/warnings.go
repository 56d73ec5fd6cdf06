package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// reconnectTime is how long a page may need until it is back for its token: it takes
	// a line for dead after 45 s of silence, connects again within 2 s, and if that
	// fails once more within 10 s (frontend/client, api/PROTOCOL.md).
	reconnectTime = 45*time.Second + 2*time.Second + 10*time.Second
	// providerCall is how long one call of a provider may take (package api).
	providerCall = 10 * time.Second
	// shortestGrace is the least of the times after which what is shipped kills a
	// node that stops: compose.yaml's stop_grace_period.
	shortestGrace = 25 * time.Second
	// expiryWarning is how long before its end a certificate is warned of; of one that
	// lives shorter, a fifth of its life.
	expiryWarning = 14 * 24 * time.Hour
)

// warnings are the settings that a node starts with and that are hardly meant, with
// what to do.
func (s *settings) warnings(now time.Time) []string {
	texts := s.safeguardWarnings()
	for _, c := range s.clients {
		if len(c.Origins) == 0 {
			texts = append(texts, fmt.Sprintf("client %s: it has no origins, so no page of a site can wait for its tickets, only programs that send no Origin; "+
				"name the site under origins, for example [https://www.example.com]", c.ID))
		}
	}
	texts = append(texts, s.insecureOrigins()...)
	texts = append(texts, s.durationWarnings()...)
	for _, c := range s.certificates() {
		if text := c.warning(now, s.publicOrigin); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

// insecureOrigins are the http origins of clients under an https public URL: anybody on
// the way of such a page can change it, and so read its tokens. This machine's own
// are exempt, for there is no way in between.
func (s *settings) insecureOrigins() (texts []string) {
	if !strings.HasPrefix(s.publicOrigin, "https://") {
		return nil
	}
	for _, c := range s.clients {
		for _, origin := range c.Origins {
			if strings.HasPrefix(origin, "http://") && !loopbackOrigin(origin) {
				texts = append(texts, fmt.Sprintf("client %s: the origin %s is not https, so anybody between that page and its browser can read its tokens; "+
					"serve the site over https and change origins in the clients file", c.ID, origin))
			}
		}
	}
	return texts
}

// loopbackOrigin reports whether the page is served by the browser's own machine
// (RFC 6761, section 6.3).
func loopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// durationWarnings are the durations that do not fit together.
func (s *settings) durationWarnings() (texts []string) {
	if s.ResultTTL < reconnectTime {
		texts = append(texts, fmt.Sprintf("LOGINHUB_RESULT_TTL is %v, and a page whose line breaks may need %v to come back for its token "+
			"(45s of silence, up to 2s until it connects again, up to 10s until the next try): such logins are lost; set %v or more", s.ResultTTL, reconnectTime, reconnectTime))
	}
	for name, ttl := range map[string]time.Duration{"TICKET": s.TicketTTL, "CONFIRM": s.ConfirmTTL} {
		if ttl <= providerCall {
			texts = append(texts, fmt.Sprintf("LOGINHUB_%s_TTL is %v, and one call of a provider may take %v: the ticket may expire during the user's own call; set more", name, ttl, providerCall))
		}
	}
	if all := s.Drain + shutdownTimeout; all > shortestGrace {
		texts = append(texts, fmt.Sprintf("LOGINHUB_DRAIN is %v, so a stop takes up to %v: systemd's TimeoutStopSec (30s in the unit), Kubernetes' terminationGracePeriodSeconds "+
			"and compose's stop_grace_period (25s) must be above that, or the node is killed while it drains", s.Drain, all))
	}
	return texts
}

// namedCertificate is a certificate that the settings name.
type namedCertificate struct {
	label   string // of the metric
	setting string
	path    string
	cert    *x509.Certificate
}

// certificates are all that the settings name, as they are in force.
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

// warning is what is wrong with the certificate now, or soon; "" if nothing is.
func (c namedCertificate) warning(now time.Time, public string) string {
	from, until := c.cert.NotBefore, c.cert.NotAfter
	where := fmt.Sprintf("%s: %s: the certificate %.64q", c.setting, c.path, c.cert.Subject.CommonName)
	soon := min(expiryWarning, until.Sub(from)/5)
	switch {
	case now.After(until):
		return fmt.Sprintf("%s has expired at %s, and is refused by whoever checks it; put a new one there, which is read without a restart", where, until.UTC().Format(time.RFC3339))
	case now.Before(from):
		return fmt.Sprintf("%s is not valid before %s; is this machine's clock right?", where, from.UTC().Format(time.RFC3339))
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

// pemCertificates are the certificates of a PEM file. One that Go cannot read is
// left out, as x509.CertPool does: bundles of systems hold such.
func pemCertificates(text []byte) (all []*x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			all = append(all, cert)
		}
	}
	return all
}
