package main

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"loginhub/cmd/loginhub/check"
	"loginhub/hub/provider"
)

// checkTimeout bounds `loginhub check`, except the time for which --hold keeps the
// socket open.
const checkTimeout = 30 * time.Second

// checkCmd is `loginhub check`. Run it on a node's machine, with the node's settings,
// while the nodes run.
type checkCmd struct {
	Hold time.Duration `env:"-" help:"How long to keep the WebSocket through the proxy open. 70s detects an idle timeout of 60s." placeholder:"DURATION"`
}

// Run runs all checks. It returns an error if a finding is a failure, and a
// usageError if the settings are invalid, as `serve` does.
func (k checkCmd) Run(c *Config) error {
	set, err := c.load()
	if err != nil {
		return &usageError{err}
	}
	values, err := set.checked()
	if err != nil {
		return &usageError{err}
	}
	store, err := openStore(set)
	if err != nil {
		return &usageError{err}
	}
	defer store.Close()
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout+k.Hold)
	defer cancel()
	return check.Print(os.Stdout, check.Run(ctx, values, store, k.Hold))
}

// checked returns the values that package check needs.
func (s *settings) checked() (*check.Settings, error) {
	records, err := s.keyring()
	if err != nil {
		return nil, err
	}
	secrets, err := secretRing(s.masters, s.RecordVersion)
	if err != nil {
		return nil, err
	}
	values := &check.Settings{PublicURL: s.publicOrigin, Local: isLocalURL(s.publicOrigin), Proxies: s.proxies, Keys: s.keyIDs(),
		Embedded: s.embedded(), RedisPrefix: strings.TrimSuffix(s.RedisPrefix, ":"), RedisWait: s.RedisWait, Records: records, Secrets: secrets,
		VerifyFile: s.verify, NeedVerifyFile: s.WechatAppID != "" && s.QR == "link",
		Providers: s.checkedProviders(), Warnings: s.warnings(time.Now())}
	if len(s.clients) > 0 {
		values.ClientID = s.clients[0].ID
	}
	return values, nil
}

// checkedProviders returns each configured provider once, those of clients among them.
func (s *settings) checkedProviders() (found []check.Provider) {
	if s.sandbox() {
		return []check.Provider{{Config: developmentKind().Read(&provider.Fields{})}}
	}
	all, seen := s.allCredentials(), map[providerKey]bool{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		drawer, _ := all[id].drawer()
		for _, p := range all[id].providers {
			if !seen[p.key] {
				seen[p.key] = true
				found = append(found, check.Provider{Config: p.config, Env: provider.Env{ID: p.id, PublicURL: s.publicOrigin, Pictures: p.id == drawer.id, Templates: s.templatesOf(p)}})
			}
		}
	}
	return found
}
