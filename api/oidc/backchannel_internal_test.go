package oidc

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"loginhub/api/notify"
	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/keys"
	"loginhub/hub/outbox"
	"loginhub/hub/ticket"
)

// siteAnswers answers with a status; 0 breaks the connection off.
type siteAnswers int

func (s siteAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	if s == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: int(s), Header: http.Header{"Location": {"http://169.254.169.254/"}}, Body: io.NopCloser(strings.NewReader("x")), Request: r}, nil
}

// TestBackchannel_Answers: what each answer of a site means: delivered, refused (a redirect
// is not followed), or another attempt. No error quotes the address, whose path may be a
// secret.
func TestBackchannel_Answers(t *testing.T) {
	t.Parallel()
	signer, err := token.NewSigner([]keys.MasterKey{keys.NewMasterKey()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := notify.NewMessage("id", ticket.Ticket{}, logout{"alice", "s1"})
	if err != nil {
		t.Fatal(err)
	}
	for status, want := range map[int]string{200: "", 204: "", 400: "refused", 302: "refused", 408: "again", 429: "again", 500: "again", 503: "again", 0: "again"} {
		s := logoutSender{issuer: "https://hub.example", signer: func() *token.Signer { return signer }, now: time.Now, http: newLogoutClient(), log: slog.New(slog.DiscardHandler),
			site: &client.Client{ID: "app", IDTokenAlg: client.AlgEdDSA, BackchannelLogoutURI: "https://app.example/s3cret"}}
		s.http.Transport = siteAnswers(status)
		err := s.Deliver(t.Context(), m)
		got := map[bool]string{true: "again"}[err != nil]
		if errors.Is(err, outbox.ErrRefused) {
			got = "refused"
		}
		if got != want || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%d: %v, want %q", status, err, want)
		}
	}
}

type oauthMetrics = Metrics

// logoutCounts records the results of logout tokens.
type logoutCounts struct {
	oauthMetrics
	outbox.Metrics
	ends string
}

func (c *logoutCounts) IncLogoutToken(result string)    { c.ends += result + " " }
func (c *logoutCounts) IncMessages(string, string, int) {}

// TestBackchannel_Results: the results of queues of logout tokens are counted, of no other.
func TestBackchannel_Results(t *testing.T) {
	t.Parallel()
	var c logoutCounts
	for _, queue := range []string{"client:app", logoutQueue + "app"} {
		for _, result := range outbox.Results() {
			OutboxMetrics{&c, &c}.IncMessages(queue, result, 1)
		}
	}
	if c.ends != "sent refused failed dropped " {
		t.Errorf("counted %q", c.ends)
	}
}
