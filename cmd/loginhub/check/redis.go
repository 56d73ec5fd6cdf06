package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"loginhub/hub/outbox"
	"loginhub/hub/provider"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// The allowed difference between Redis's clock and this machine's. Tokens carry
// Redis's time, and sites that verify tokens allow about a minute.
const (
	clockWarn = 2 * time.Second
	clockFail = 30 * time.Second
)

// rightsHint says which rights the Redis user needs. It returns "" if err has its own
// hint.
func (e *checker) rightsHint(err error) string {
	if err == nil || errors.Is(err, ticket.ErrNotReplicated) || redisstore.Advice(err) != "" && !redisstore.IsMissingRight(err) {
		return ""
	}
	return fmt.Sprintf("the user needs the commands in deploy/redis/users.acl and ~%[1]s:* &%[1]s:mail:* &%[1]s:{*}:mail:* (LOGINHUB_REDIS_PREFIX); Redis 7 gives a user no channels by default", e.set.RedisPrefix)
}

// addRedisResult is addResult for a call of Redis.
func (e *checker) addRedisResult(what string, err error, success string) bool {
	return e.addResult(what, err, success, e.rightsHint(err))
}

// checkRedis checks the Redis servers, and whether the user has all rights that a
// node needs.
func (e *checker) checkRedis(ctx context.Context, store *redisstore.Store) {
	if e.set.Embedded {
		e.add(provider.Warn, "redis", "embedded: tickets are lost when the process ends; set LOGINHUB_REDIS_URL for production")
		return
	}
	servers, err := store.Servers(ctx)
	if err != nil && !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "unknown command") {
		e.add(provider.Fail, "redis", "%v; is it running, reachable from here, and LOGINHUB_REDIS_URL right (user, password, rediss:// for TLS)?", timeoutError(err))
		return
	}
	if err != nil {
		e.add(provider.Warn, "redis", "its version and settings are not known: %v; give the user +info", err)
	}
	for _, s := range servers {
		e.checkServer(s)
	}
	e.checkRights(ctx, store)
}

// checkServer checks what one master reports about itself.
func (e *checker) checkServer(s redisstore.Server) {
	what := "redis " + s.Addr
	if major, err := strconv.Atoi(strings.Split(s.Version, ".")[0]); s.Valkey == "" && (err != nil || major < 7) {
		e.add(provider.Fail, what, "version %q; 7 or later is needed, or Valkey", s.Version)
	} else {
		e.add(provider.OK, what, "reachable, version %s", ifElse(s.Valkey != "", "Valkey "+s.Valkey, s.Version))
	}
	switch {
	case s.EvictionPolicy != "noeviction":
		e.add(provider.Fail, what, "maxmemory-policy %s drops logins that are under way; CONFIG SET maxmemory-policy noeviction, as Redis's admin user, and the same in redis.conf", s.EvictionPolicy)
	case s.MaxMemory == 0:
		e.add(provider.Warn, what, "noeviction, and no maxmemory: a flood of tickets takes all of the machine's memory; set it (deploy/redis/redis.conf)")
	case s.UsedMemory > s.MaxMemory/10*8:
		e.add(provider.Warn, what, "%d of %d MB are used; when it is full, no login works: no new ticket, no confirm, and all nodes lose their subscriptions; raise maxmemory", s.UsedMemory>>20, s.MaxMemory>>20)
	default:
		e.add(provider.OK, what, "noeviction, %d of %d MB used", s.UsedMemory>>20, s.MaxMemory>>20)
	}
	switch {
	case s.Loading:
		e.add(provider.Fail, what, "it is loading its dataset; wait until it is done")
	case s.PersistenceError != "":
		e.add(provider.Fail, what, "its %s cannot be written, so it may refuse writes; look at its disk and log", s.PersistenceError)
	case !s.AOF:
		e.add(provider.Warn, what, "no append-only file: a restart costs the logins under way, and together with one of all nodes it switches sites on that were off; appendonly yes (deploy/redis/redis.conf)")
	case s.Replay == redisstore.RightsMissing:
		e.add(provider.Fail, what, "its default user may not write: a restart loses every ticket, because Redis replays the append-only file with that user's rights, "+
			"also if the user is off; make `user default off resetpass ~* &* +@all` the first line of users.acl, then ACL LOAD")
	case s.Replay == redisstore.RightsUnknown:
		e.add(provider.Warn, what, "append-only file is written; whether a restart can read it is not known: +acl|dryrun for the user (deploy/redis/users.acl) shows it")
	default:
		e.add(provider.OK, what, "append-only file is written, and a restart can read it")
	}
	switch want := e.set.RedisWait; {
	case want > s.Replicas:
		e.add(provider.Fail, what, "LOGINHUB_REDIS_WAIT=%d, but %d replicas are in step: phones get 503 for a confirm, and a failover can lose what they confirmed; restore the replicas or lower it", want, s.Replicas)
	case want == 0 && s.Replicas > 0:
		e.add(provider.Warn, what, "%d replicas and LOGINHUB_REDIS_WAIT unset: a failover may lose a confirm that the phone was answered for; 1 is the usual number", s.Replicas)
	default:
		e.add(provider.OK, what, "%d replicas in step, LOGINHUB_REDIS_WAIT=%d", s.Replicas, want)
	}
}

// checkRights runs each operation of a node once, on a ticket of its own.
func (e *checker) checkRights(ctx context.Context, store *redisstore.Store) {
	node := "check" + rand.Text()
	if !e.addRedisResult("redis scripts", store.Preload(ctx), "loaded") {
		return
	}
	start := time.Now()
	if err := e.probeMailbox(ctx, store, node); !e.addRedisResult("redis mailbox", err, "a probe was published and received") {
		return
	}
	off := time.Until(store.Now()).Round(time.Millisecond)
	g := provider.OK
	if off.Abs() > clockWarn+time.Since(start) {
		g = provider.Warn
	}
	if off.Abs() > clockFail {
		g = provider.Fail
	}
	e.add(g, "clock", "Redis's is %v from this machine's%s", off, ifElse(g != provider.OK, "; tokens carry Redis's time: synchronize both clocks with NTP", ""))
	e.addRedisResult("redis tickets", tryTicket(ctx, store), "created, attached, changed"+ifElse(e.set.RedisWait > 0, ", and on the replicas", ""))
	e.addRedisResult("redis secrets", e.trySecrets(ctx, store), "saved, loaded, taken, set once")
	e.addRedisResult("redis outbox", tryOutbox(ctx, redisstore.NewOutbox(store.SecretStore(e.set.Secrets))), "put, claimed, removed")
	// A client's id has no blank, so this one is unused.
	const unused = "loginhub check"
	_, err := store.ReadSwitches(ctx, []string{unused})
	_, written := store.CompareAndSet(ctx, unused, "", "off")
	err = errors.Join(err, written, store.DeleteSwitch(ctx, unused))
	e.addRedisResult("redis killswitch", err, "read and written")
}

// probeMailbox publishes one liveness probe and waits for it, as a node does each
// second.
func (e *checker) probeMailbox(ctx context.Context, store *redisstore.Store, node string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	subscribed, probes, broken := make(chan struct{}, 1), make(chan struct{}, 64), make(chan error, 1)
	go func() { // ends with ctx
		broken <- store.Listen(ctx, node, func() {
			select {
			case subscribed <- struct{}{}:
			default:
			}
		}, func(mail []byte) {
			if nonce, _, ok := ticket.DecodeProbe(mail); ok && nonce == node {
				probes <- struct{}{}
			}
		})
	}()
	select {
	case err := <-broken:
		return errOr(err, errNoAnswer)
	case <-subscribed:
	}
	masters, err := store.Probe(ctx, node, node)
	if err != nil {
		return err
	}
	for range masters {
		select {
		case <-probes:
		case err := <-broken:
			return errOr(err, errors.New("the probe was published, but not received"))
		}
	}
	return nil
}

// tryTicket creates a ticket, attaches to it and changes it, and waits for the
// replicas. The ticket expires after a minute.
func tryTicket(ctx context.Context, store *redisstore.Store) error {
	id, first, next := ticket.NewSecret().ID(), []byte("check.1"), []byte("check.2")
	until := store.Now().Add(time.Second)
	if created, err := store.Create(ctx, id, first, until, time.Second); err != nil || !created {
		return fmt.Errorf("create: %w", errOr(err, errors.New("the ticket was refused; check the clock of Redis")))
	}
	found, err := store.Attach(ctx, "check", id)
	if err != nil || !bytes.Equal(found[0].Sealed, first) {
		return fmt.Errorf("attach: %w", errOr(err, errors.New("another record came back")))
	}
	done, err := store.Change(ctx, ticket.Change{ID: id, BaseTag: first, Sealed: next, ExpireAt: until.Add(ticket.Tombstone), WaitReplicas: true})
	if err != nil || !done[0].Done {
		return fmt.Errorf("change: %w", errOr(err, errors.New("the change was not applied")))
	}
	return nil
}

// trySecrets stores and reads a secret, as nodes do to share it.
func (e *checker) trySecrets(ctx context.Context, store *redisstore.Store) error {
	vault := store.SecretStore(e.set.Secrets)
	name, value := "check:"+rand.Text(), []byte("check")
	if err := vault.Save(ctx, name, value, time.Minute); err != nil {
		return err
	}
	for _, get := range []func(context.Context, string) ([]byte, error){vault.Load, vault.Take} {
		if got, err := get(ctx, name); err != nil || !bytes.Equal(got, value) {
			return errOr(err, errors.New("another value came back"))
		}
	}
	first, err := vault.SetNX(ctx, name, time.Second)
	if err != nil || !first {
		return errOr(err, errors.New("a new name is in use already"))
	}
	return nil
}

// tryOutbox puts, claims and removes a message, as nodes do for the events of a site.
func tryOutbox(ctx context.Context, queues redisstore.Outbox) error {
	queue, key := "check:"+rand.Text(), "check"
	r, err := queues.Exchange(ctx, queue, outbox.Exchange{Put: []outbox.Entry{{Key: key, ID: key, Prepared: true, Value: []byte(key)}}, ClaimPrepared: 1})
	if err != nil || len(r.Claims) != 1 {
		return errOr(err, errors.New("the message was not claimed"))
	}
	if r, err = queues.Exchange(ctx, queue, outbox.Exchange{Remove: []string{key}}); err != nil || r.Depth != 0 {
		return errOr(err, errors.New("the message was not removed"))
	}
	return nil
}

// errOr returns err if it is not nil, and otherwise the other error.
func errOr(err, otherwise error) error {
	if err != nil {
		return timeoutError(err)
	}
	return otherwise
}

func ifElse[T any](yes bool, text, otherwise T) T {
	if yes {
		return text
	}
	return otherwise
}
