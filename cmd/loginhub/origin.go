package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// hostName matches a host in ASCII. It allows *, which has its own error later.
var hostName = regexp.MustCompile(`^[0-9a-z*._-]{1,253}$`)

// numericHost matches a host that browsers parse as an IPv4 address (URL standard,
// section 3.5).
var numericHost = regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)$`)

// shellOrigin matches the Origin of an app's web view or a browser extension. A
// scheme that is not listed needs a host without a dot, because
// htps://www.example.com is a mistake.
var shellOrigin = regexp.MustCompile(`^((app|capacitor|chrome-extension|ionic|moz-extension|safari-web-extension|tauri)://[A-Za-z0-9._-]+|` +
	`[a-z][a-z0-9+.-]*://[A-Za-z0-9_-]+)(:[0-9]{1,5})?$`)

// noOwnOrigin matches schemes whose pages send no Origin, or "null".
var noOwnOrigin = regexp.MustCompile(`^(about|blob|data|file|filesystem|ftp|https?|javascript|wss?):`)

// idnaProfile maps names as browsers do: UTS #46, not transitional, without STD3's
// rules (URL standard, section 3.3).
var idnaProfile = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.CheckJoiners(true),
	idna.CheckHyphens(false), idna.StrictDomainName(false), idna.VerifyDNSLength(false))

// publicURL parses an http or https origin and returns the form that browsers send
// (URL standard, section 4.5). A path is an error, because the hub uses the root of
// its host.
func publicURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	bad := errors.New("must be like https://login.example.com: scheme, host and port, no path")
	u, err := url.Parse(text)
	if err != nil || u.User != nil || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#@\\") {
		return "", bad
	}
	standard, ok := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if !ok {
		return "", bad
	}
	host, err := browserHost(u.Hostname())
	if err != nil {
		return "", fmt.Errorf("%w: %w", bad, err)
	}
	if u.Port() == "" {
		return u.Scheme + "://" + host, nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return "", fmt.Errorf("%w: a port is a number up to 65535", bad)
	}
	if number := strconv.FormatUint(port, 10); number != standard {
		host += ":" + number
	}
	return u.Scheme + "://" + host, nil
}

// browserHost returns the host as browsers write it in an Origin: an IPv6 address
// compressed and in brackets, a name in lower case and punycode.
func browserHost(host string) (string, error) {
	if strings.Contains(host, ":") {
		addr, err := netip.ParseAddr(host)
		if err != nil || addr.Zone() != "" {
			return "", errors.New("an IPv6 address is written like [2001:db8::1], without a zone")
		}
		if addr.Is4In6() { // browsers write the last 32 bits in hexadecimal too
			b := addr.As16()
			return fmt.Sprintf("[::ffff:%x:%x]", uint(b[12])<<8|uint(b[13]), uint(b[14])<<8|uint(b[15])), nil
		}
		return "[" + addr.String() + "]", nil
	}
	name, err := idnaProfile.ToASCII(host)
	if err != nil || !hostName.MatchString(name) {
		return "", errors.New("the host is not a valid name; write it as a browser's address bar shows it, or in punycode (xn--…)")
	}
	if dotted := strings.TrimSuffix(name, "."); numericHost.MatchString(dotted) {
		addr, err := netip.ParseAddr(dotted)
		if err != nil {
			return "", errors.New("an IPv4 address is written like 192.0.2.1")
		}
		return addr.String(), nil
	}
	return name, nil
}

// clientOrigin parses an origin of the clients file: one that publicURL accepts, or
// that of an app's web view or an extension, which is compared exactly.
func clientOrigin(text string) (string, error) {
	if shellOrigin.MatchString(text) && !noOwnOrigin.MatchString(text) {
		return text, nil
	}
	origin, err := publicURL(text)
	switch {
	case err != nil:
		return "", fmt.Errorf("origin %.80q: must be like https://www.example.com, or capacitor://localhost of an app: %w", text, err)
	case origin == "":
		return "", errors.New("origin \"\": must be like https://www.example.com, without a path")
	case strings.HasSuffix(text, "/"):
		return "", fmt.Errorf("origin %.80q: write %s, without a path", text, origin)
	case strings.Contains(origin, "*"):
		return "", fmt.Errorf("origin %.80q: wildcards are not supported; list each origin by its full name", text)
	}
	return origin, nil
}
