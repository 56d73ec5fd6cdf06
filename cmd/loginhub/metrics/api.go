package metrics

import (
	"context"
	"time"

	"loginhub/api"
	"loginhub/api/oidc"
	"loginhub/api/ratelimit"
	"loginhub/hub/trace"
)

// httpBuckets end above the longest poll.
var httpBuckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}

// apiMetrics implements api.Metrics.
type apiMetrics struct {
	requests *counterVec
	duration *histogramVec
	limited  *counterVec
	refusals *counterVec
	exchange *histogramVec

	logouts, grants, clients, tokens *counterVec
}

func newAPIMetrics(m *Metrics) apiMetrics {
	e := apiMetrics{
		requests: m.counter("loginhub_http_requests_total", "Requests answered, by the route's pattern and the status's class.", "route", "status"),
		duration: m.histogram("loginhub_http_request_duration_seconds",
			"Time to answer; a long poll's with its wait, a socket's up to its upgrade.", httpBuckets, "route"),
		limited:  m.counter("loginhub_rate_limited_total", "Hits on a limit.", "limit"),
		refusals: m.counter("loginhub_http_refusals_total", "Errors as they were answered, by their code.", "code"),
		exchange: m.histogram("loginhub_provider_exchange_duration_seconds",
			"How long a phone or a browser waited until its provider had exchanged the code.", callBuckets, "provider"),
		grants:  m.counter("loginhub_oauth_grants_total", "Requests to the token endpoint, by ok or the error code.", "grant", "outcome"),
		clients: m.counter("loginhub_client_credentials_refused_total", "Failed authentications of sites at the OAuth endpoints.", "client", "credential"),
		tokens:  m.counter("loginhub_tokens_refused_total", "Tokens of this hub that came back and were not accepted.", "token", "reason"),
		logouts: m.counter("loginhub_logout_tokens_total", "Back-channel logout tokens by the end of their delivery.", "result"),
	}
	for _, limit := range ratelimit.Names() {
		e.limited.init(labelValues{limit})
	}
	for _, result := range oidc.LogoutResults() {
		e.logouts.init(labelValues{result})
	}
	for _, code := range api.ErrorCodes() {
		e.refusals.init(labelValues{code})
	}
	for _, grant := range oidc.Grants() {
		for _, outcome := range append(oidc.ErrorCodes(), "ok") {
			e.grants.init(labelValues{grant, outcome})
		}
	}
	for _, t := range oidc.RefusedTokens() {
		e.tokens.init(labelValues{t[0], t[1]})
	}
	e.setSites(nil)
	return e
}

// setSites sets the sites that have series of their own.
func (e apiMetrics) setSites(ids []string) {
	for _, id := range append([]string{oidc.UnknownClient}, ids...) {
		for _, credential := range oidc.Credentials() {
			e.clients.init(labelValues{id, credential})
		}
	}
}

// IncLogoutToken implements api.Metrics.
func (e apiMetrics) IncLogoutToken(result string) { e.logouts.get(labelValues{result}).Inc() }

// IncGrant implements api.Metrics.
func (e apiMetrics) IncGrant(grant, outcome string) { e.grants.get(labelValues{grant, outcome}).Inc() }

// IncClientRefused implements api.Metrics.
func (e apiMetrics) IncClientRefused(client, credential string) {
	e.clients.get(labelValues{client, credential}).Inc()
}

// IncTokenRefused implements api.Metrics.
func (e apiMetrics) IncTokenRefused(token, reason string) {
	e.tokens.get(labelValues{token, reason}).Inc()
}

// IncRefusal implements api.Metrics.
func (e apiMetrics) IncRefusal(code string) { e.refusals.get(labelValues{code}).Inc() }

// ObserveExchange implements api.Metrics.
func (e apiMetrics) ObserveExchange(ctx context.Context, provider string, took time.Duration) {
	observe(e.exchange.get(labelValues{provider}), took, trace.ID(ctx))
}

// ObserveRequest implements api.Metrics.
func (e apiMetrics) ObserveRequest(ctx context.Context, route, class string, took time.Duration) {
	e.requests.get(labelValues{route, class}).Inc()
	observe(e.duration.get(labelValues{route}), took, trace.ID(ctx))
}

// IncLimited implements api.Metrics.
func (e apiMetrics) IncLimited(limit string) { e.limited.get(labelValues{limit}).Inc() }
