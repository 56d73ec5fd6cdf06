package wecom

import (
	"context"
	"errors"
	"fmt"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// The calls of a suite, by WeCom's names.
const (
	callSuiteToken = "service/get_suite_token"
	callSuiteUser  = "service/auth/getuserinfo3rd"
)

// readSuite reads a suite (第三方应用), with which a service provider serves many
// companies. Fields: suite_id, suite_secret, suite_ticket_file; corp_id for one company
// only. WeCom pushes the suite_ticket every ten minutes to the service provider's back
// end, which writes it to the file.
func readSuite(f *provider.Fields) config {
	c := config{suiteID: f.Text("suite_id", "as WeCom's console for service providers shows it"), secret: f.Secret("suite_secret"),
		corpID: f.Optional("corp_id", "")}
	if !anyID.MatchString(c.suiteID) {
		f.Fail("suite_id", errors.New("1 to 64 letters, digits, dashes and underscores"))
	}
	path, readFile := f.Text("suite_ticket_file", "the file to which your back end writes the last suite_ticket"), f.ReadSecret
	c.suiteTicket = func() (string, error) { return readFile("", path) }
	return c
}

// fetchSuiteToken requests an access token of the suite.
//
// https://developer.work.weixin.qq.com/document/path/90600
func (a *app) fetchSuiteToken(ctx context.Context) (string, time.Duration, error) {
	ticket, err := a.suiteTicket()
	if err != nil {
		return "", 0, fmt.Errorf("%w: wecom suite_ticket_file: %w", provider.ErrProviderMisconfigured, err)
	}
	var answer struct {
		Token     string        `json:"suite_access_token"`
		ExpiresIn httpcall.Text `json:"expires_in"`
	}
	err = a.client.Do(ctx, httpcall.Call{Name: callSuiteToken, Path: "/cgi-bin/service/get_suite_token", Hidden: []string{a.secret, ticket}, Into: &answer,
		JSON: map[string]string{"suite_id": a.suiteID, "suite_secret": a.secret, "suite_ticket": ticket}})
	if err == nil && answer.Token == "" {
		err = a.client.Unusable(callSuiteToken, "no suite_access_token")
	}
	return answer.Token, answer.ExpiresIn.Seconds(), err
}
