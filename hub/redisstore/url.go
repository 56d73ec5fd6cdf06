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

// Timeouts of one exchange with Redis. The client library repeats a failed one, within
// callTimeout. A repeated script answers as it did the first time.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 2 * time.Second
	retries     = 2
)

// init stops the client library from writing to standard error. It returns all errors,
// and the callers log them.
func init() { redis.SetLogger(discardLogger{}) }

type discardLogger struct{}

// Printf implements the logger of go-redis.
func (discardLogger) Printf(context.Context, string, ...any) {}

// newClient returns a client for the URL. Its errors never contain the URL, which
// contains a password. secure adds what a rediss:// URL cannot say; it may be nil.
func newClient(text string, secure *tls.Config) (redis.UniversalClient, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, badURL(err)
	}
	q := u.Query()
	cluster := isCluster(q)
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
		// After a failover the client uses the dead master until it reads the map again.
		// The library's default of a minute would mean a minute of 503.
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

// IsCluster reports whether the URL is for a Redis Cluster.
func IsCluster(text string) bool {
	u, err := url.Parse(text)
	return err == nil && isCluster(u.Query())
}

func isCluster(q url.Values) bool { return q.Get("cluster") == "true" }

// mergeTLS adds the operator's authorities and certificate to the settings from the URL.
// nil stays nil: a redis:// URL gets no TLS.
func mergeTLS(url, secure *tls.Config) *tls.Config {
	if url == nil || secure == nil {
		return url
	}
	url.RootCAs, url.GetClientCertificate = secure.RootCAs, secure.GetClientCertificate
	return url
}

// perHostTLS removes the server name, so that each certificate is checked against the
// address that is dialled. Otherwise the library would check every server, also the
// master behind a Sentinel, against the name of the first.
func perHostTLS(c *tls.Config) *tls.Config {
	if c != nil {
		c.ServerName = ""
	}
	return c
}

// setTimeouts sets the timeouts for one server.
func setTimeouts(o *redis.Options) {
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.MaxRetries = dialTimeout, ioTimeout, ioTimeout, retries
	o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, noMaintNotifications()
}

// noMaintNotifications turns off a handshake of Redis Enterprise, which other servers
// answer with an error.
func noMaintNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// badURL returns an error that says what is expected and contains nothing of the URL.
// go-redis repeats parts of the URL in its errors, and a password with a slash in it
// would be such a part.
func badURL(error) error {
	return errors.New("redis URL is invalid; expected redis://USER:PASSWORD@HOST:6379/0, rediss:// or unix://, " +
		"with a password's / ? # @ and % written as %2F %3F %23 %40 and %25, and of options only those of go-redis")
}
