package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"loginhub/hub/client"
)

// Bounds of a living code. A tenth of a second would flash; at 30 s a code hardly lives.
const (
	minLivingCode = time.Second
	maxLivingCode = 30 * time.Second
)

// applyLivingCode sets how often the client's QR code changes. Call it after the client's
// grants are set.
func (c *Config) applyLivingCode(site *client.Client, entry clientEntry, own credentials) (err error) {
	if entry.LivingCode == "" {
		if entry.LivingCodeWindow != "" {
			return errors.New("living_code_window: set living_code too, for example 2s")
		}
		return nil
	}
	if site.LivingCode, err = wholeSeconds(entry.LivingCode); err != nil || site.LivingCode < minLivingCode || site.LivingCode > maxLivingCode {
		return fmt.Errorf("living_code %.40q: whole seconds from %v to %v, for example 2s", entry.LivingCode, minLivingCode, maxLivingCode)
	}
	window := cmp.Or(entry.LivingCodeWindow, client.DefaultLivingCodeWindow.String())
	if site.LivingCodeWindow, err = wholeSeconds(window); err != nil ||
		site.LivingCodeWindow < 2*site.LivingCode || site.LivingCodeWindow > c.TicketTTL {
		return fmt.Errorf("living_code_window %.40q: whole seconds, at least two steps of living_code (%v), at most LOGINHUB_TICKET_TTL (%v); default %v",
			window, 2*site.LivingCode, c.TicketTTL, client.DefaultLivingCodeWindow)
	}
	if c.RecordVersion == 1 {
		return errors.New("living_code: needs LOGINHUB_RECORD_VERSION=2")
	}
	if site.HasGrant(client.GrantDevice) {
		return errors.New("living_code: not with the grant device_code, because a device shows its code as a text; give devices a client of their own")
	}
	if err := c.checkLivingCodeLink(site, own); err != nil {
		return fmt.Errorf("living_code: %w", err)
	}
	return nil
}

// checkLivingCodeLink returns why the client's code cannot change: only a code that the
// page draws can, and the page needs WebCrypto for it, which browsers have on https and on
// the local machine.
func (c *Config) checkLivingCodeLink(site *client.Client, own credentials) error {
	public := strings.TrimSuffix(c.PublicURL, "/")
	if drawer, drawn := own.drawer(); drawn {
		return fmt.Errorf("the provider %s draws the QR code (qr: %s), and a picture does not change; use qr: link", drawer.id, own.qr)
	}
	if own.qr != "" && own.qr != "link" && own.qr != public+"/s/{ticket}" {
		return fmt.Errorf("qr: %.80q: only the code of the kind link can change; use qr: link", own.qr)
	}
	account, others := "", false
	for _, e := range own.providers {
		switch {
		case !site.AllowsProvider(e.id):
		case e.kind.ByEvents:
			account = cmp.Or(account, e.id)
		default:
			others = others || e.kind.ByPhone || e.kind.InAgent != nil
		}
	}
	if account != "" && !others {
		return fmt.Errorf("the official account %s draws the QR code, and a picture does not change; accept a mini-program too, or leave living_code out", account)
	}
	for _, page := range append([]string{public}, site.Origins...) {
		if strings.HasPrefix(page, "http://") && !isLoopbackURL(page) {
			return fmt.Errorf("%s: the page needs WebCrypto, which browsers have only with https and on localhost; use https", page)
		}
	}
	return nil
}

// isLoopbackURL reports whether browsers take a URL as this machine's, and trust it without
// https (W3C Secure Contexts, section 3.1).
func isLoopbackURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.IsLoopback()
}

// wholeSeconds parses a positive duration in whole seconds.
func wholeSeconds(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && (d <= 0 || d%time.Second != 0) {
		err = errors.New("whole seconds")
	}
	return d, err
}
