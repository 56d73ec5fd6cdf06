package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"loginhub/api"
	"loginhub/api/oidc"
	"loginhub/cmd/loginhub/logqueue"
	"loginhub/cmd/loginhub/metrics"
	"loginhub/cmd/loginhub/status"
	"loginhub/cmd/loginhub/tracing"
	"loginhub/hub"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// Limits of the public listener.
const (
	headerTimeout  = 10 * time.Second // to send the request's head
	answerTimeout  = 75 * time.Second // to take the answer; above the longest poll
	idleTimeout    = 90 * time.Second // between two requests; above nginx's 60 s
	maxHeaderBytes = 16 << 10

	// startTimeout bounds how long a starting node waits for Redis. Then it serves,
	// so that health checks find it alive and not ready.
	startTimeout = 3 * time.Second
	startPoll    = 5 * time.Millisecond
)

// App is one node, ready to run.
type App struct {
	set  *settings
	logs *logs
	log  *slog.Logger // logs.log
	// Started is called after the node's address is known and before the first log
	// line.
	Started func(w endpoints)

	original  Config // the settings before files were read into them
	effective []effectiveSetting
	sighups   sighups // each causes a reload

	metrics  *metrics.Metrics  // set by Run
	reloader *reloader         // set by build
	traces   *tracing.Exporter // set by build
	logins   *status.Logins    // set by build
	fleet    *status.Fleet     // set by build
	refusals status.Refusals
}

// Run runs the node until ctx ends, then drains it and returns nil. Any other end is
// an error.
func (a *App) Run(ctx context.Context) error {
	tcp, err := listenTCP(a.set.Listen)
	if err != nil {
		return listenError("LOGINHUB_LISTEN", err)
	}
	defer tcp.Close()
	store, err := openStore(a.set)
	if err != nil {
		return &usageError{err}
	}
	a.metrics = metrics.New(releaseVersion, commit, kinds())
	a.metrics.WatchLog("log", a.logs.stderr, logqueue.Ordinary)
	a.metrics.WatchLog("audit", a.logs.audit.queue, logqueue.Audit)
	store.Metrics = a.metrics.Redis
	a.metrics.WatchStore(store)
	defer store.Close()
	urls := a.set.endpoints(tcp.Addr())
	node, server, err := a.build(store, urls)
	if err != nil {
		return err
	}
	defer a.traces.Close(flushTimeout)
	defer server.Close()
	a.logStart(node.Node(), tcp.Addr(), urls)
	limiter := a.set.limitConns(tcp, a.log)
	limiter.onLimit = a.metrics.WatchConns(limiter.Open, func() int { return limiter.total }, connRefusals())
	var listener net.Listener = limiter
	if a.set.ProxyProtocol {
		listener = proxyListener{limiter}
	}
	if a.set.certificate != nil {
		listener = a.set.certificate.listen(listener)
	}
	public := newPublicServer(newHTTPServer(server, a.log), tcp, listener)
	public.ConnState = func(conn net.Conn, state http.ConnState) {
		public.conns.connState(conn, state)
		limiter.connState(conn, state)
	}
	admin, err := a.startAdmin(node, server)
	if err != nil {
		return err
	}
	if admin != nil {
		defer admin.Close()
	}
	hubLife, endHub := context.WithCancel(context.WithoutCancel(ctx))
	var hubs sync.WaitGroup
	defer hubs.Wait()
	defer endHub() // the mailbox closes last
	hubs.Go(func() { node.Run(hubLife) })
	watching, endWatch := context.WithCancel(ctx)
	defer endWatch()
	hubs.Go(func() { a.reloader.run(watching) })
	hubs.Go(func() { a.fleet.Run(hubLife) })
	a.awaitReady(ctx, store, node)
	go public.serve() // public.stop waits for it
	select {
	case err := <-public.done:
		return fmt.Errorf("public listener: %w", err)
	case <-ctx.Done():
		a.drain(node)
	}
	if err := public.stop(ctx); err != nil {
		a.log.Warn("requests cut off", "error", err)
	}
	return nil
}

// logStart calls Started and logs what starts.
func (a *App) logStart(node string, listen net.Addr, urls endpoints) {
	if a.Started != nil {
		a.Started(urls)
	}
	a.log.Info("starting", "version", version(), "node", node, "listen", listen.String(),
		"public_url", urls.issuer, "store", a.set.storeKind(), "providers", a.set.providers())
	a.log.Debug("configuration", "config", a.set.Config)
	for _, text := range a.set.warnings(time.Now()) {
		a.log.Warn(text)
	}
}

// newHTTPServer returns the server of the public listener, with time-outs and a
// header limit. Package api limits bodies; package hub limits sockets, which leave
// this server.
func newHTTPServer(edge http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: edge, ReadHeaderTimeout: headerTimeout, WriteTimeout: answerTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: newServerErrors(log)}
}

// awaitReady returns if the node is ready, ctx ends, or startTimeout has passed.
// Connections wait in the kernel's queue until then. A node that served before Redis
// and its mailbox work would refuse phones.
func (a *App) awaitReady(ctx context.Context, store *redisstore.Store, node *hub.Hub) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := store.Preload(ctx); err != nil {
		a.log.Warn("Redis does not answer yet; this node is not ready until it does", "error", err)
	}
	check := time.NewTicker(startPoll)
	defer check.Stop()
	for ctx.Err() == nil && node.Ready() != nil {
		select {
		case <-ctx.Done():
		case <-check.C:
		}
	}
}

// drain releases the waiting pages. An embedded Redis ends with the node, so pages
// could not reconnect to another node: unless LOGINHUB_DRAIN is set, the drain then
// takes no time.
func (a *App) drain(node *hub.Hub) {
	duration := a.set.Drain
	if a.set.embedded() && duration == defaultDrain {
		duration = 0
	}
	a.log.Info("draining", "waiters", node.Waiting(), "duration", duration)
	node.Drain(context.Background(), duration)
}

// build creates the hub and its HTTP server.
func (a *App) build(store *redisstore.Store, urls endpoints) (*hub.Hub, *api.Server, error) {
	set := a.set
	ring, err := secretRing(set.masters, set.RecordVersion)
	if err != nil {
		return nil, nil, err
	}
	a.reloader = &reloader{app: a, secrets: store.SecretStore(ring), endpoints: urls, lastSeen: set.files}
	now, err := a.reloader.derive(set)
	if err != nil {
		return nil, nil, &usageError{err}
	}
	a.logins = &status.Logins{Metrics: a.metrics.Hub}
	id := hub.NewNodeID()
	if a.traces, err = tracing.Start(context.Background(), set.traces, id, version(), a.log); err != nil {
		return nil, nil, &usageError{err}
	}
	node := hub.New(hub.Config{Node: id, Tracer: a.traces.Tracer, Store: store, Mailbox: store, Issuer: urls.issuer, Reloadable: now.node,
		TicketTTL: set.TicketTTL, ConfirmTTL: set.ConfirmTTL, ResultTTL: set.ResultTTL, TokenTTL: set.TokenTTL,
		MaxWaiters: set.MaxSockets, Replicated: set.RedisWait > 0, Log: a.log, Audit: a.logs.audit, AuditRequired: set.AuditRequired,
		KillSwitches: store, KeysChanged: a.reloader.keysChanged, Metrics: a.logins})
	a.metrics.WatchHub(node)
	release, from, _ := build()
	a.fleet = &status.Fleet{List: redisstore.NodeList{Store: store}, Hub: node, Logins: a.logins, Version: packageVersion(release, from), Log: a.log}
	for i, c := range set.certificates() {
		a.metrics.WatchCertificate(c.label, func() time.Time { return set.certificates()[i].cert.NotAfter })
	}
	if set.places != nil {
		a.metrics.WatchPlaces(set.places.Built, set.places.Refused)
	}
	edge := api.Config{Hub: node, Version: packageVersion(release, from), Reloadable: now.server, PublicURL: urls.link, OwnOrigins: urls.origins, StateStore: a.reloader.secrets, QRLevel: set.QRLevel,
		VerifyName: set.verify[0], VerifyText: set.verify[1],
		TrustedProxies: set.proxies, Places: set.places, RateLimit: set.RateLimit, MaxWaitersPerAddr: set.maxWaitersPerAddr(), Log: a.log, Metrics: a.metrics.API, Tracer: a.traces.Tracer, Refused: a.refusals.Add}
	edge.Outbox, edge.OutboxMetrics, edge.Remember = redisstore.NewOutbox(a.reloader.secrets), a.metrics.Outbox, recordLife(set)
	if set.AccessLog > 0 {
		edge.Access = api.AccessLog{Log: a.logs.access, Share: set.AccessLog}
	}
	if set.QRLogo != "" && set.QRLevel == "" {
		edge.QRLevel = "H"
	}
	server, err := api.New(edge)
	if err != nil {
		return nil, nil, err
	}
	a.reloader.node, a.reloader.server = node, server
	a.reloader.setCurrent(now)
	return node, server, nil
}

// recordLife returns how long a ticket's record can be kept: the longest life of a ticket,
// that of the result, and the tombstone.
func recordLife(s *settings) time.Duration {
	return max(s.TicketTTL, oidc.DeviceLife) + s.ConfirmTTL + s.ResultTTL + ticket.Tombstone
}

// openStore returns the store of the settings, without connecting to it.
func openStore(s *settings) (*redisstore.Store, error) {
	store, err := redisstore.OpenTLS(s.redisURL(), s.redisTLS)
	if err != nil {
		return nil, fmt.Errorf("LOGINHUB_REDIS_URL: %w", err)
	}
	store.Replicas, store.Prefix, store.Sharded = s.RedisWait, strings.TrimSuffix(s.RedisPrefix, ":"), s.RedisSharded
	return store, nil
}

// redisURL returns the store's URL.
func (s *settings) redisURL() string {
	if s.embedded() {
		return redisstore.Embedded
	}
	return s.RedisURL
}
