package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Limits of one exchange with Redis. The library repeats a failed one, within
// callLimit: every script answers a repetition as the first time.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 2 * time.Second
	retries     = 2
)

// init keeps the client library from writing to standard error by itself: what
// fails is returned, and its callers log it.
func init() { redis.SetLogger(discardLogger{}) }

type discardLogger struct{}

// Printf implements go-redis's logger.
func (discardLogger) Printf(context.Context, string, ...any) {}

// newClient makes a client for the URL; errors never hold the URL, it has a password.
// secure, which may be nil, holds what a rediss:// URL cannot say.
func newClient(text string, secure *tls.Config) (redis.UniversalClient, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, badURL(err)
	}
	q := u.Query()
	cluster := q.Get("cluster") == "true"
	sentinel := q.Has("master_name")
	q.Del("cluster")
	u.RawQuery = q.Encode()
	switch {
	case cluster:
		o, err := redis.ParseClusterURL(u.String())
		if err != nil {
			return nil, badURL(err)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.MaxRetries = dialTimeout, ioTimeout, ioTimeout, retries
		o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, noMaintNotifications()
		// After a failover the dead master is asked until the map is read anew;
		// the library's minute is a minute of 503.
		o.ClusterStateReloadInterval = time.Second
		o.TLSConfig = perHostTLS(mergeTLS(o.TLSConfig, secure))
		return redis.NewClusterClient(o), nil
	case sentinel:
		o, err := redis.ParseFailoverURL(u.String())
		if err != nil {
			return nil, badURL(err)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.MaxRetries = dialTimeout, ioTimeout, ioTimeout, retries
		o.ContextTimeoutEnabled, o.DisableIdentity = true, true
		o.TLSConfig = perHostTLS(mergeTLS(o.TLSConfig, secure))
		return redis.NewFailoverClient(o), nil
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, badURL(err)
	}
	setTimeouts(o)
	o.TLSConfig = mergeTLS(o.TLSConfig, secure)
	return redis.NewClient(o), nil
}

// mergeTLS puts the operator's authorities and certificate into what the URL says;
// nil stays nil: whoever writes redis:// gets no TLS.
func mergeTLS(url, secure *tls.Config) *tls.Config {
	if url == nil || secure == nil {
		return url
	}
	url.RootCAs, url.GetClientCertificate = secure.RootCAs, secure.GetClientCertificate
	return url
}

// perHostTLS leaves the name in a certificate to the address that is dialled: the
// library would hold every server, the master behind a Sentinel too, to the
// first one's name.
func perHostTLS(c *tls.Config) *tls.Config {
	if c != nil {
		c.ServerName = ""
	}
	return c
}

// setTimeouts sets the limits for one server.
func setTimeouts(o *redis.Options) {
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.MaxRetries = dialTimeout, ioTimeout, ioTimeout, retries
	o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, noMaintNotifications()
}

// noMaintNotifications turns off a handshake of Redis Enterprise that others answer with an error.
func noMaintNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// badURL says what is expected and nothing of what was given: go-redis repeats
// parts of the URL in its errors, and a password with a slash in it is such a part.
func badURL(error) error {
	return errors.New("redis URL is none that can be used; expected redis://USER:PASSWORD@HOST:6379/0, rediss:// or unix://, " +
		"with a password's / ? # @ and % written as %2F %3F %23 %40 and %25, and of options only those of go-redis")
}
