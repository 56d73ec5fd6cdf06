package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"time"

	"golang.org/x/oauth2"
)

type devicesScenario struct {
	Count int           `default:"300" help:"Devices with held polls, and as many without."`
	For   time.Duration `default:"30s" help:"Over how long the confirms are spread."`
}

// firstPoll is when golang.org/x/oauth2 polls first: after the interval.
const firstPoll = 5 * time.Second

// measure logs devices in with the device flow of golang.org/x/oauth2, unchanged. Half
// of them send "Prefer: wait=0" (RFC 7240), so that their polls are not held. The
// confirms come at random times after the first poll.
func (c *devicesScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	s, err := b.startOAuth(ctx, b.nodes(2), "RS256")
	if err != nil {
		return nil, err
	}
	defer s.stop()
	took := make([]time.Duration, 2*c.Count)
	err = each(ctx, len(took), len(took), func(ctx context.Context, i int) (err error) {
		confirm := firstPoll + time.Second + rand.N(c.For)
		took[i], err = s.oauth2Device(ctx, i, i%2 == 0, confirm)
		return err
	})
	if err != nil {
		return nil, err
	}
	var byHeld [2][]time.Duration
	for i, d := range took {
		byHeld[i%2] = append(byHeld[i%2], d)
	}
	var all []result
	for i, name := range []string{"device polls held", "device polls not held"} {
		r := result{Scenario: name, Nodes: len(s.nodes)}
		r.add(figure{"confirm sent to token, mean", mean(byHeld[i]).Seconds() * 1000, "ms"})
		r.add(latencies("confirm sent to token", byHeld[i])...)
		all = append(all, r)
	}
	return all, nil
}

// oauth2Device logs one device in, whose phone confirms after that time. It returns the
// time from the confirm to the token.
func (s *cluster) oauth2Device(ctx context.Context, i int, held bool, confirm time.Duration) (time.Duration, error) {
	l, at := s.newLogin(i)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	if !held {
		client.Transport = unheld{transport}
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, client), confirm+callLimit)
	defer cancel()
	base := at.url.String()
	config := oauth2.Config{ClientID: oauthClient, Scopes: []string{"openid"},
		Endpoint: oauth2.Endpoint{DeviceAuthURL: base + "/oauth2/device_authorization", TokenURL: base + "/oauth2/token"}}
	device, err := config.DeviceAuth(ctx)
	if err != nil {
		return 0, fmt.Errorf("device authorization: %w", err)
	}
	l.page = &page{target: at, Ticket: path.Base(device.VerificationURIComplete)}
	confirmed := make(chan error, 1)
	go func() {
		err := sleep(ctx, confirm)
		if err == nil {
			l.sent, err = l.tell(ctx, "confirm")
		}
		confirmed <- err
	}()
	_, err = config.DeviceAccessToken(ctx, device)
	got := time.Now()
	if e := <-confirmed; err == nil {
		err = e
	}
	return got.Sub(l.sent), err
}

// unheld asks the server not to hold requests.
type unheld struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (u unheld) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Prefer", "wait=0")
	return u.RoundTripper.RoundTrip(r)
}
