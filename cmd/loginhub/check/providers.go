package check

import "context"

// checkProviders checks the providers of the deployment and those of clients.
func (e *checker) checkProviders(ctx context.Context) {
	for _, p := range e.set.Providers {
		e.findings = append(e.findings, p.Config.Check(ctx, p.Env)...)
	}
}
