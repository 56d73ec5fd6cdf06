package main

import (
	"context"
	"maps"
	"slices"

	"loginhub/hub/provider"
)

// checkProviders checks the providers of the deployment and those of clients.
func (e *checker) checkProviders(ctx context.Context) {
	all := e.set.allCredentials()
	if e.set.sandbox() {
		e.addFindings(developmentKind().Read(&provider.Fields{}).Check(ctx, provider.Env{}))
		return
	}
	seen := map[providerKey]bool{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		for _, p := range all[id].providers {
			if !seen[p.key] {
				seen[p.key] = true
				e.addFindings(p.config.Check(ctx, provider.Env{ID: p.id, PublicURL: e.set.publicOrigin, Pictures: all[id].qr == "wxacode"}))
			}
		}
	}
}

func (e *checker) addFindings(found []provider.Finding) {
	for _, f := range found {
		e.add(severity(f.Severity), f.Subject, "%s", f.Text)
	}
}
