package hubtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
)

// Phone is a user's; of the sandbox, where nothing else is said.
type Phone struct {
	Name string
	// Login gives the provider and a fresh one-time code for the ticket; nil: the
	// sandbox's.
	Login   func(ticket string) (provider, code string)
	Headers []string // pairs, beside those of each request
	Trace   Trace    // what Insist was answered

	id    uint64 // tells codes of two phones of one user apart
	codes *atomic.Int64
}

// NewPhone is the phone of the user name, with the app of the sandbox.
func NewPhone(name string) *Phone {
	return &Phone{Name: name, id: rand.Uint64(), codes: &atomic.Int64{}}
}

// Code is a fresh one-time code.
func (p *Phone) Code() string {
	return fmt.Sprintf("sandbox:%s:%d-%d", p.Name, p.id, p.codes.Add(1))
}

// Do calls scan, confirm or reject for the ticket id on the node at url; more
// holds further fields.
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
