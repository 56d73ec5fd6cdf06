// Package client describes the sites that use the hub, the relying parties: who they
// are, which origins and providers they accept, and their limits. It reads no file;
// package main does.
package client

import (
	"slices"
	"time"
)

// Client is a site that uses the hub.
type Client struct {
	ID             string
	LabelZH        string // shown to Chinese readers; "" means LabelEN, then the id
	LabelEN        string
	Origins        []string // exact origins (scheme://host[:port]) that may use this client
	Providers      []string // providers that may confirm; empty means all configured ones
	Subject        string   // SubjectOpenID ("" too) or SubjectUnionID
	NumberMatching bool
	TokenTTL       time.Duration // 0 means the hub's default
	// AddressMismatch says what happens if phone and browser have known, different
	// addresses: MismatchWarn, MismatchRefuse, or nothing. MismatchRefuse also refuses a
	// browser or phone with an unknown address: an untrusted peer sent a forwarding
	// header, or a trusted proxy sent none.
	AddressMismatch string
}

// Values of Client.AddressMismatch.
const (
	MismatchIgnore = "ignore" // "" too
	MismatchWarn   = "warn"
	MismatchRefuse = "refuse"
)

// WarnsMismatch reports whether the phone warns if the addresses differ.
func (c *Client) WarnsMismatch() bool { return c.AddressMismatch == MismatchWarn }

// RefusesMismatch reports whether phone and browser must have the same, known address.
func (c *Client) RefusesMismatch() bool { return c.AddressMismatch == MismatchRefuse }

// Label returns the client's name in the given language ("zh" or anything else).
func (c *Client) Label(lang string) string {
	first, second := c.LabelEN, c.LabelZH
	if lang == "zh" {
		first, second = second, first
	}
	switch {
	case first != "":
		return first
	case second != "":
		return second
	}
	return c.ID
}

// AllowsProvider reports whether the provider may confirm this client's tickets.
func (c *Client) AllowsProvider(provider string) bool {
	return len(c.Providers) == 0 || slices.Contains(c.Providers, provider)
}

// AllowsOrigin reports whether a browser at that origin may wait for this client's
// tickets. A request without Origin ("") is allowed: browsers send Origin with every
// cross-site request.
func (c *Client) AllowsOrigin(origin string) bool {
	return origin == "" || slices.Contains(c.Origins, origin)
}
