package redisstore

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Limits of one exchange with Redis. The library repeats a failed one, within
// callLimit: every script answers a repetition as the first time.
const (
	dialLimit = 2 * time.Second
	ioLimit   = 2 * time.Second
	retries   = 2
)

// dial makes a client for the URL; errors never hold the URL, it has a password.
func dial(text string) (redis.UniversalClient, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("redis URL cannot be parsed; expected for example redis://:PASSWORD@HOST:6379/0")
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
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.MaxRetries = dialLimit, ioLimit, ioLimit, retries
		o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, quiet()
		return redis.NewClusterClient(o), nil
	case sentinel:
		o, err := redis.ParseFailoverURL(u.String())
		if err != nil {
			return nil, badURL(err)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.MaxRetries = dialLimit, ioLimit, ioLimit, retries
		o.ContextTimeoutEnabled, o.DisableIdentity = true, true
		return redis.NewFailoverClient(o), nil
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, badURL(err)
	}
	single(o)
	return redis.NewClient(o), nil
}

// single sets the limits for one server.
func single(o *redis.Options) {
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.MaxRetries = dialLimit, ioLimit, ioLimit, retries
	o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, quiet()
}

// quiet turns off a handshake of Redis Enterprise that others answer with an error.
func quiet() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// badURL keeps the reason and drops the URL that net/url repeats in its errors.
func badURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("redis URL: %w", err)
}
