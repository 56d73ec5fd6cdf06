package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// How far Redis's clock may be from this machine's: tokens bear its time, and
// sites that verify them allow about a minute.
const (
	clockDoubt = 2 * time.Second
	clockWrong = 30 * time.Second
)

// grants is what to do about a refusal that does not say it itself: the user's
// rights, with the prefix that they are for.
func (e *checker) grants(err error) string {
	if err == nil || redisstore.Advice(err) != "" && !redisstore.IsMissingRight(err) {
		return ""
	}
	prefix := strings.TrimSuffix(e.set.RedisPrefix, ":")
	return fmt.Sprintf("the user needs the commands in deploy/redis/users.acl and ~%s:* &%s:mail:* (LOGINHUB_REDIS_PREFIX); Redis 7 gives a user no channels by default", prefix, prefix)
}

// tryRedis is try for a call of Redis.
func (e *checker) tryRedis(what string, err error, well string) bool {
	return e.try(what, err, well, e.grants(err))
}

// redis examines the store: what it is, and whether its user may do everything
// that a node does.
func (e *checker) redis(ctx context.Context, store *redisstore.Store) {
	if e.set.embedded() {
		e.note(severityWarn, "redis", "embedded: tickets stay in one process and go with it; set LOGINHUB_REDIS_URL for production")
		return
	}
	servers, err := store.Servers(ctx)
	if err != nil && !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "unknown command") {
		e.note(severityFail, "redis", "%v; is it running, reachable from here, and LOGINHUB_REDIS_URL right (user, password, rediss:// for TLS)?", timeoutError(err))
		return
	}
	if err != nil {
		e.note(severityWarn, "redis", "its version and settings are not told: %v; +info for the user would show them", err)
	}
	for _, s := range servers {
		e.server(s)
	}
	e.rights(ctx, store)
}

// server judges what one master says of itself.
func (e *checker) server(s redisstore.Server) {
	what := "redis " + s.Addr
	if major, err := strconv.Atoi(strings.Split(s.Version, ".")[0]); s.Valkey == "" && (err != nil || major < 7) {
		e.note(severityFail, what, "version %q; 7 or later is needed, or Valkey", s.Version)
	} else {
		e.note(severityOK, what, "reachable, version %s", cond(s.Valkey != "", "Valkey "+s.Valkey, s.Version))
	}
	switch {
	case s.EvictionPolicy != "noeviction":
		e.note(severityFail, what, "maxmemory-policy %s drops logins that are under way; CONFIG SET maxmemory-policy noeviction, as Redis's admin user, and the same in redis.conf", s.EvictionPolicy)
	case s.MaxMemory == 0:
		e.note(severityWarn, what, "noeviction, and no maxmemory: a flood of tickets takes all of the machine's memory; set it (deploy/redis/redis.conf)")
	case s.UsedMemory > s.MaxMemory/10*8:
		e.note(severityWarn, what, "%d of %d MB are used; when it is full, no login works: no new ticket, no confirm, and all nodes deaf; raise maxmemory", s.UsedMemory>>20, s.MaxMemory>>20)
	default:
		e.note(severityOK, what, "noeviction, %d of %d MB used", s.UsedMemory>>20, s.MaxMemory>>20)
	}
	switch {
	case s.Loading:
		e.note(severityFail, what, "it is loading its dataset; wait until it is done")
	case s.PersistenceError != "":
		e.note(severityFail, what, "its %s cannot be written, so it may refuse writes; look at its disk and log", s.PersistenceError)
	case !s.AOF:
		e.note(severityWarn, what, "no append-only file: a restart costs the logins under way, and together with one of all nodes it switches sites on that were off; appendonly yes (deploy/redis/redis.conf)")
	case s.Replay == redisstore.RightsMissing:
		e.note(severityFail, what, "its default user may not write: a restart loses every ticket, because Redis replays the append-only file with that user's rights, "+
			"also if the user is off; make `user default off resetpass ~* &* +@all` the first line of users.acl, then ACL LOAD")
	case s.Replay == redisstore.RightsUnknown:
		e.note(severityWarn, what, "append-only file is written; whether a restart can read it is not known: +acl|dryrun for the user (deploy/redis/users.acl) shows it")
	default:
		e.note(severityOK, what, "append-only file is written, and a restart can read it")
	}
	switch want := e.set.RedisWait; {
	case want > s.Replicas:
		e.note(severityFail, what, "LOGINHUB_REDIS_WAIT=%d, but %d replicas are in step: every confirm is refused; mend the replicas or lower it", want, s.Replicas)
	case want == 0 && s.Replicas > 0:
		e.note(severityWarn, what, "%d replicas and LOGINHUB_REDIS_WAIT unset: a failover may lose a confirm that the phone has been told of; 1 is the usual number", s.Replicas)
	default:
		e.note(severityOK, what, "%d replicas in step, LOGINHUB_REDIS_WAIT=%d", s.Replicas, want)
	}
}

// rights does each thing that a node does once, on a ticket that nobody has.
func (e *checker) rights(ctx context.Context, store *redisstore.Store) {
	node := "check" + rand.Text()
	if !e.tryRedis("redis scripts", store.Preload(ctx), "can be loaded") {
		return
	}
	began := time.Now()
	if err := e.heard(ctx, store, node); !e.tryRedis("redis mailbox", err, "a probe was published and received") {
		return
	}
	off := time.Until(store.Now()).Round(time.Millisecond)
	g := severityOK
	if off.Abs() > clockDoubt+time.Since(began) {
		g = severityWarn
	}
	if off.Abs() > clockWrong {
		g = severityFail
	}
	e.note(g, "clock", "Redis's is %v from this machine's%s", off, cond(g != severityOK, "; tokens bear Redis's time: set both by NTP", ""))
	e.tryRedis("redis tickets", trialTicket(ctx, store), "made, attached, changed"+cond(e.set.RedisWait > 0, ", and on the replicas", ""))
	e.tryRedis("redis secrets", e.trialVault(ctx, store), "saved, loaded, taken, claimed")
	// No client's id has a blank.
	const nobody = "loginhub check"
	_, err := store.ReadSwitches(ctx, []string{nobody})
	_, written := store.CompareAndSet(ctx, nobody, "", "off")
	err = errors.Join(err, written, store.DeleteSwitch(ctx, nobody))
	e.tryRedis("redis killswitch", err, "read and written")
}

// heard proves the mailbox once, as a node does every second.
func (e *checker) heard(ctx context.Context, store *redisstore.Store, node string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stands, proofs, broken := make(chan struct{}, 1), make(chan struct{}, 64), make(chan error, 1)
	go func() { // ends with ctx
		broken <- store.Listen(ctx, node, func() {
			select {
			case stands <- struct{}{}:
			default:
			}
		}, func(mail []byte) {
			if nonce, _, ok := ticket.DecodeProbe(mail); ok && nonce == node {
				proofs <- struct{}{}
			}
		})
	}()
	select {
	case err := <-broken:
		return firstOf(err, errSlow)
	case <-stands:
	}
	masters, err := store.Probe(ctx, node, node)
	if err != nil {
		return err
	}
	for range masters {
		select {
		case <-proofs:
		case err := <-broken:
			return firstOf(err, errors.New("published, and never heard"))
		}
	}
	return nil
}

// trialTicket makes a ticket, attaches to it and changes it, with the wait for
// replicas. It is gone after a minute.
func trialTicket(ctx context.Context, store *redisstore.Store) error {
	id, first, next := ticket.NewSecret().ID(), []byte("check.1"), []byte("check.2")
	until := store.Now().Add(time.Second)
	if made, err := store.Create(ctx, id, first, until, time.Second); err != nil || !made {
		return fmt.Errorf("make: %w", firstOf(err, errors.New("the clock of Redis moves")))
	}
	found, err := store.Attach(ctx, "check", id)
	if err != nil || !bytes.Equal(found[0].Sealed, first) {
		return fmt.Errorf("attach: %w", firstOf(err, errors.New("another record came back")))
	}
	done, err := store.Change(ctx, ticket.Change{ID: id, BaseTag: first, Sealed: next, ExpireAt: until.Add(ticket.Tombstone), WaitReplicas: true})
	if err != nil || !done[0].Done {
		return fmt.Errorf("change: %w", firstOf(err, errors.New("not taken")))
	}
	return nil
}

// trialVault keeps a value as nodes do for each other.
func (e *checker) trialVault(ctx context.Context, store *redisstore.Store) error {
	ring, err := e.set.vaultRing()
	if err != nil {
		return err
	}
	vault := store.SecretStore(ring)
	name, value := "check:"+rand.Text(), []byte("check")
	if err := vault.Save(ctx, name, value, time.Minute); err != nil {
		return err
	}
	for _, get := range []func(context.Context, string) ([]byte, error){vault.Load, vault.Take} {
		if got, err := get(ctx, name); err != nil || !bytes.Equal(got, value) {
			return firstOf(err, errors.New("another value came back"))
		}
	}
	first, err := vault.SetNX(ctx, name, time.Second)
	if err != nil || !first {
		return firstOf(err, errors.New("a new name is claimed already"))
	}
	return nil
}

// firstOf is the first that is one.
func firstOf(err, otherwise error) error {
	if err != nil {
		return timeoutError(err)
	}
	return otherwise
}

func cond[T any](yes bool, text, otherwise T) T {
	if yes {
		return text
	}
	return otherwise
}
