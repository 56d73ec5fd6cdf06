package hubtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
)

// Phone is a user's phone; with the sandbox's app if Login is nil.
type Phone struct {
	Name string
	// Login returns the provider and a fresh one-time code for the ticket; nil means the
	// sandbox's.
	Login   func(ticket string) (provider, code string)
	Headers []string // pairs, added to each request
	Trace   Trace    // responses to Retry

	id    uint64 // makes the codes of two phones of one user differ
	codes *atomic.Int64
}

// NewPhone returns a phone of the user name with the sandbox's app.
func NewPhone(name string) *Phone {
	return &Phone{Name: name, id: rand.Uint64(), codes: &atomic.Int64{}}
}

// Code returns a fresh one-time code.
func (p *Phone) Code() string {
	return fmt.Sprintf("sandbox:%s:%d-%d", p.Name, p.id, p.codes.Add(1))
}

// Do calls scan, confirm or reject for the ticket id on the node at url. more contains
// additional fields.
func (p *Phone) Do(ctx context.Context, url, id, action string, more map[string]any) (*Response, error) {
	provider, code := "sandbox", ""
	if p.Login != nil {
		provider, code = p.Login(id)
	} else {
		code = p.Code()
	}
	body := map[string]any{"provider": provider, "code": code}
	for k, v := range more {
		body[k] = v
	}
	return Request(ctx, "POST", url+"/api/login/tickets/"+id+"/"+action, body, p.Headers...)
}
