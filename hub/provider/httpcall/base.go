package httpcall

import (
	"errors"
	"net/url"
	"strings"

	"loginhub/hub/provider"
)

// Base reads the field of a base URL: http(s)://HOST[/PATH], without user, query and
// fragment. Plain http sends secrets in clear; it is for tests. The default must be
// valid.
func Base(f *provider.Fields, name, byDefault string) *url.URL {
	u, err := url.Parse(f.Optional(name, byDefault))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// The cause is omitted: it quotes the URL, which may contain a password.
		f.Fail(name, errors.New("must be http(s)://HOST[/PATH] and nothing more"))
		u, _ = url.Parse(byDefault)
	}
	return u
}

// Page returns a provider's page under a base. A base that ends in the page's path is
// the page itself.
func Page(base *url.URL, path string) *url.URL {
	if strings.HasSuffix(base.Path, path) {
		u := *base
		return &u
	}
	return base.JoinPath(path)
}

// Origin returns the origin of a URL, for a Content-Security-Policy.
func Origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
