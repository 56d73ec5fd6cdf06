package ticket

import (
	"slices"
	"time"
)

// Client is a site that uses the hub.
type Client struct {
	ID             string
	LabelZH        string // shown to Chinese readers; "" means LabelEN, then the id
	LabelEN        string
	Origins        []string // exact origins (scheme://host[:port]) whose pages may wait
	Providers      []string // providers that may confirm; empty means all that are configured
	Subject        string   // SubjectOpenID ("" too) or SubjectUnionID
	NumberMatching bool
	TokenTTL       time.Duration // 0 means the hub's
	// AddressMismatch is what to do if phone and browser are known to come from
	// different addresses: MismatchWarn, MismatchRefuse, or nothing.
	// MismatchRefuse also refuses a browser or phone whose address is hidden: by a
	// forwarding header of an untrusted peer, or by a trusted proxy without one.
	AddressMismatch string
}

// What a client may want where the addresses differ.
const (
	MismatchIgnore = "ignore" // "" too
	MismatchWarn   = "warn"
	MismatchRefuse = "refuse"
)

// Label is the site's name in the given language ("zh" or anything else).
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
// tickets. A request without Origin ("") is no cross-site request of a browser.
func (c *Client) AllowsOrigin(origin string) bool {
	return origin == "" || slices.Contains(c.Origins, origin)
}
