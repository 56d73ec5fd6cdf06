package main

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"loginhub/api"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/redisstore"
)

// watchInterval is the time between two checks of the files. A change must be the
// same in two checks, so that a half-written file is not read.
const watchInterval = 2 * time.Second

// sighups receives each SIGHUP. With capacity 1, a signal during a reload causes one
// more reload.
type sighups chan os.Signal

// reloader reads the settings' files again on SIGHUP and after a change, also of a
// link, as in Kubernetes' mounted secrets. It applies all of the new contents, or
// none.
type reloader struct {
	// Fixed before run.
	app       *App
	secrets   *redisstore.SecretStore
	endpoints endpoints
	node      *hub.Hub
	server    *api.Server

	mu       sync.Mutex // guards the rest: run and keysChanged
	current  *reloadable
	shared   hub.SharedKeys
	lastSeen files // contents at the last reload
	count    int   // number of reloads
}

// setCurrent records what is in use.
func (r *reloader) setCurrent(now *reloadable) {
	r.current = now
	if heads := r.app.logs.heads; heads != nil {
		heads.signer.Store(now.server.Signer)
	}
	clients := now.server.Clients
	openID := slices.DeleteFunc(slices.Clone(clients), func(c *client.Client) bool { return !c.OpenID() })
	r.app.metrics.WatchClients(clientIDs(clients), clientIDs(openID))
	r.app.metrics.WatchProviders(now.set.providers(), slices.Collect(maps.Values(now.providers.cache)))
}

// adminToken returns the token of the admin address; "" if none is set.
func (r *reloader) adminToken() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current.set.AdminToken
}

// run reloads until ctx ends. A later SIGHUP is ignored.
func (r *reloader) run(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for before := files(nil); ; {
		select {
		case <-ctx.Done():
			return
		case <-r.app.sighups:
			if err := r.app.logs.Reopen(); err != nil {
				r.app.log.Error("the audit file cannot be opened again; the node writes on to the former one", "error", err)
			}
			r.reloadPlaces(true)
			r.reload("SIGHUP")
		case <-tick.C:
			r.reloadPlaces(false)
			r.mu.Lock()
			seen := r.lastSeen
			r.mu.Unlock()
			now := seen.reread()
			if !maps.Equal(now, seen) && maps.Equal(now, before) {
				r.reload("file changed")
			}
			before = now
		}
	}
}

// keysChanged applies the keys that the nodes share (hub.Config.KeysChanged).
func (r *reloader) keysChanged(shared hub.SharedKeys) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.shared
	r.shared = shared
	next, err := r.derive(r.current.set)
	if err != nil {
		r.shared = before
		r.app.log.Error("the nodes' shared keys cannot be used", "error", err)
		return
	}
	r.apply(next)
}

// reload reads and validates everything first. On any error nothing changes.
func (r *reloader) reload(cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	log := r.app.log.With("cause", cause, "reload", r.count) // the number gives each reload its own line
	if len(r.lastSeen) == 0 && r.current.set.places == nil {
		log.Info("nothing to reload: no setting names a file")
		return
	}
	given := r.app.original
	given.places = r.current.set.places
	set, err := given.load()
	var next *reloadable
	if err == nil {
		if given.Keys == "" { // random, with the embedded Redis
			set.masters = r.current.set.masters
		}
		next, err = r.derive(set)
	}
	r.lastSeen = maps.Clone(r.current.set.files)
	maps.Copy(r.lastSeen, given.files)
	if err != nil {
		r.app.metrics.Reloaded(false)
		log.Error("reload refused: nothing was changed", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	was := r.current.set
	r.apply(next)
	r.app.metrics.Reloaded(true)
	log.Info("reloaded", slog.Group("changed", was.changes(set)...))
	for _, text := range append(was.keyWarnings(set), set.warnings(time.Now())...) {
		log.Warn(text)
	}
}

// apply replaces what is in use. Readers change before writers, so that each value a
// node writes can be read.
func (r *reloader) apply(next *reloadable) {
	if was := r.current.set; was != next.set { // they are the same if only the shared keys have changed
		was.certificate.replace(next.set.certificate)
		was.redisCert.replace(next.set.redisCert)
		next.set.certificate, next.set.redisCert = was.certificate, was.redisCert
	}
	r.secrets.Reload(next.secrets)
	r.node.Reload(next.node)
	r.server.Reload(next.server)
	r.setCurrent(next)
}

// changes returns log fields for what differs in next: files by path, clients and
// keys by id.
func (s *settings) changes(next *settings) (fields []any) {
	note := func(name string, list []string) {
		if len(list) > 0 {
			slices.Sort(list)
			fields = append(fields, slog.Any(name, list))
		}
	}
	var changed, late []string
	for path, sum := range next.files {
		switch {
		case s.files[path] == sum:
		case path == next.RedisURLFile || path == next.RedisCA:
			late = append(late, path)
		default:
			changed = append(changed, path)
		}
	}
	note("files", changed)
	late = append(late, s.file.changed(next.file)...)
	note("needs_restart", late)
	clients, keys := clientIDs(s.clients), s.keyIDs()
	note("clients_added", without(clientIDs(next.clients), clients))
	note("clients_removed", without(clients, clientIDs(next.clients)))
	note("keys_added", without(next.keyIDs(), keys))
	note("keys_removed", without(keys, next.keyIDs()))
	if first := next.keyIDs()[0]; first != keys[0] {
		fields = append(fields, slog.String("signing_key", first))
	}
	return fields
}

// keyWarnings warns if the first key is new, because no site can know it yet.
func (s *settings) keyWarnings(next *settings) []string {
	if first := next.keyIDs()[0]; !slices.Contains(s.keyIDs(), first) {
		return []string{"the first key, " + first + ", is new: sites that hold the former JWKS refuse its tokens for up to five minutes, and nodes that do not have it yet answer 503; " +
			"append a new key first, and move it to the front five minutes after all nodes have it"}
	}
	return nil
}

// keyIDs returns the ids of the master keys, newest first.
func (s *settings) keyIDs() []string {
	ids := make([]string, len(s.masters))
	for i, m := range s.masters {
		ids[i] = m.ID()
	}
	return ids
}

// without returns the elements of all that are not in others.
func without(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(others, s) })
}
