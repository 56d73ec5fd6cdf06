package gate

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// LoginMethods is what a client's login page offers: its QR codes, the link for
// phones, and the providers that can confirm.
type LoginMethods struct {
	// QR is the content of the QR code, with the placeholder {ticket}. "" means
	// the link PublicURL/s/{ticket}.
	QR string
	// Pictures draws the QR codes; nil: the hub draws them. See PicturesOf.
	Pictures provider.Pictures
	// LaunchURL is the link, with the placeholder {ticket}, that opens the app of
	// the provider LaunchBy on a phone without a scan; "" for none.
	LaunchURL, LaunchBy string
	Providers           map[string]provider.Exchanger // of phones, by id
	Listed              []*provider.Provider          // all, in the order of the configuration
}

// StateStore stores small values for all nodes. They are encrypted and
// authenticated.
type StateStore interface {
	Now() time.Time // the clock that all nodes share
	Save(ctx context.Context, name string, value []byte, life time.Duration) error
	// Load returns a value; nil if there is none.
	Load(ctx context.Context, name string) ([]byte, error)
	// Take returns a value and deletes it, so that one caller gets it; nil if
	// there is none.
	Take(ctx context.Context, name string) ([]byte, error)
	// SetNX reports whether this call is the first for the name, until life ends.
	SetNX(ctx context.Context, name string, life time.Duration) (bool, error)
	// Seal returns the value encrypted and bound to the name, for a browser to keep.
	Seal(name string, value []byte) []byte
	// Open returns what Seal was given; nil if the text is not for that name.
	Open(name string, sealed []byte) []byte
}

// MethodsOf returns the client's own methods, or those of the deployment.
func (cfg *Config) MethodsOf(client string) LoginMethods {
	methods, own := cfg.methods[client]
	if !own {
		return cfg.methods[""]
	}
	return methods
}

// LaunchURLOf returns the link that opens the app of the client's logins on the
// phone that shows the page: the mini-program, the own app by the URL of its QR
// code, or the sandbox's phone; "" if there is none. frame is that of a living code, "" for
// none, or FramePlace for the page to fill in.
func (cfg *Config) LaunchURLOf(site *client.Client, id ticket.ID, frame string) string {
	methods := cfg.MethodsOf(site.ID)
	link := ""
	switch {
	case len(cfg.ScanWith(site)) == 0: // no phone can confirm
	case methods.LaunchURL != "" && site.AllowsProvider(methods.LaunchBy):
		link = methods.LaunchURL
	case cfg.Sandbox || !strings.HasPrefix(methods.QR, cfg.publicURL+"/s/") && cfg.PicturesOf(site.ID) == nil:
		link = methods.QR
	}
	return LinkTo(link, id, frame)
}

// FramePlace is the placeholder of a living code's frame in a link.
const FramePlace = "{frame}"

// LinkTo fills the ticket, and the frame of its living code if it has one, into a link with
// the placeholder {ticket}. In an app's link the ticket is the end of an encoded query.
func LinkTo(link string, id ticket.ID, frame string) string {
	to := string(id)
	if frame != "" && strings.HasPrefix(link, "http") {
		to += "?f=" + frame
	} else if frame != "" {
		to += "%26f%3D" + frame
	}
	return strings.ReplaceAll(link, "{ticket}", to)
}

// ScanWith returns the kinds of the providers whose app scans the client's code, in
// the order of the configuration; empty, not nil, if no phone can confirm.
func (cfg *Config) ScanWith(site *client.Client) []string { return cfg.scanWith[site.ID] }

// appsOf is ScanWith, which does not change until Reload.
func (cfg *Config) appsOf(site *client.Client) []string {
	kinds := []string{}
	if p := cfg.drawerOf(site.ID); p != nil && p.Events != nil {
		return append(kinds, p.Kind.Name) // no other app opens its code
	}
	methods := cfg.MethodsOf(site.ID)
	add := func(id, kind string) {
		if site.AllowsProvider(id) && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	link := strings.HasPrefix(methods.QR, cfg.publicURL+"/s/") && cfg.PicturesOf(site.ID) == nil
	for _, p := range methods.Listed {
		if code := methods.Providers[p.ID]; code != nil {
			add(p.ID, kindOf(p.ID, code))
		} else if link && site.LinkLogin && p.InApp != nil {
			add(p.ID, p.Kind.Name)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(methods.Providers)) { // the sandbox is not listed for a client with its own QR code
		add(id, kindOf(id, methods.Providers[id]))
	}
	return kinds
}

// PictureHosts returns the hosts of the pictures of the client's users (Kind.PictureHosts),
// each once; nil if no provider of the client has pictures.
func (cfg *Config) PictureHosts(site *client.Client) (hosts []string) {
	for _, p := range cfg.MethodsOf(site.ID).Listed {
		if site.AllowsProvider(p.ID) {
			hosts = append(hosts, p.PictureHosts...)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// PhoneProvider is a provider whose codes phones bring.
type PhoneProvider struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
}

// PhoneProviders returns the deployment's providers of phones, by id.
func (cfg *Config) PhoneProviders() []PhoneProvider {
	all := []PhoneProvider{}
	for _, id := range slices.Sorted(maps.Keys(cfg.Providers)) {
		all = append(all, PhoneProvider{id, kindOf(id, cfg.Providers[id])})
	}
	return all
}

// Find returns the provider with that id; nil if there is none.
func (m LoginMethods) Find(id string) *provider.Provider {
	for _, p := range m.Listed {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// FindStart returns the provider whose website login starts at that route; id is the
// route's parameter, "" if it has none.
func (m LoginMethods) FindStart(route, id string) *provider.Provider {
	for _, p := range m.Listed {
		if start, _ := p.FixedPaths(); (p.Redirect != nil || p.InApp != nil) && (p.ID == id || id == "" && route == start) {
			return p
		}
	}
	return nil
}

// HasProvider reports whether any client accepts that provider from its phones.
func (cfg *Config) HasProvider(provider string) bool {
	if cfg.Providers[provider] != nil {
		return true
	}
	for _, methods := range cfg.LoginMethods {
		if methods.Providers[provider] != nil {
			return true
		}
	}
	return false
}
