package apitest_test

import (
	"net/url"
	"strings"
	"testing"

	"loginhub/hub/ticket"
)

// authorizeError is a request and its error.
type authorizeError struct {
	q    url.Values
	want string // the error of the redirect; "" for a page
}

func authorizeErrors() map[string]authorizeError {
	twice := func(name string) url.Values { return url.Values(map[string][]string{name: {"a", "a"}}) }
	with := func(q, more url.Values) url.Values {
		for name, values := range more {
			q[name] = values
		}
		return q
	}
	return map[string]authorizeError{
		"no client":                 {query("client_id", "-"), ""},
		"unknown client":            {query("client_id", "unknown"), ""},
		"client without OpenID":     {query("client_id", "demo"), ""},
		"client of devices":         {query("client_id", "cli"), ""},
		"client twice":              {with(query(), url.Values{"client_id": {"rp", "rp"}}), ""},
		"no redirect URI":           {query("redirect_uri", "-"), ""},
		"redirect URI twice":        {with(query(), url.Values{"redirect_uri": {rpCallback, rpCallback}}), ""},
		"foreign redirect URI":      {query("redirect_uri", "https://evil.example/cb"), ""},
		"longer redirect URI":       {query("redirect_uri", rpCallback+"/../x", "response_type", "x"), ""},
		"unknown request_uri":       {query("request_uri", "urn:ietf:params:oauth:request_uri:abc"), ""},
		"no response type":          {query("response_type", "-"), "invalid_request"},
		"implicit":                  {query("response_type", "id_token token"), "unsupported_response_type"},
		"hybrid":                    {query("response_type", "code id_token"), "unsupported_response_type"},
		"fragment":                  {query("response_mode", "fragment"), "invalid_request"},
		"state twice":               {with(query(), twice("state")), "invalid_request"},
		"scope twice":               {with(query(), twice("scope")), "invalid_request"},
		"unknown parameter twice":   {with(query(), twice("x\"")), "invalid_request"},
		"request object":            {query("request", "eyJ"), "request_not_supported"},
		"request_uri of the web":    {query("request_uri", "https://rp.example/r"), "request_uri_not_supported"},
		"request_uri of metadata":   {query("request_uri", "http://169.254.169.254/"), "request_uri_not_supported"},
		"registration":              {query("registration", "{}"), "registration_not_supported"},
		"plain challenge":           {query("code_challenge_method", "plain"), "invalid_request"},
		"challenge, no method":      {query("code_challenge_method", "-"), "invalid_request"},
		"method, no challenge":      {query("code_challenge", "-"), "invalid_request"},
		"short challenge":           {query("code_challenge", "abc"), "invalid_request"},
		"public, no challenge":      {query("client_id", "spa", "redirect_uri", "http://127.0.0.1:5/cb", "code_challenge", "-", "code_challenge_method", "-"), "invalid_request"},
		"long state":                {query("state", strings.Repeat("s", ticket.MaxState+1)), "invalid_request"},
		"control character":         {query("state", "a\r\nb"), "invalid_request"},
		"long nonce":                {query("nonce", strings.Repeat("s", ticket.MaxGrantNonce+1)), "invalid_request"},
		"scope of control":          {query("scope", "openid\x00"), "invalid_scope"},
		"prompt none":               {query("prompt", "none"), "login_required"},
		"prompt none and login":     {query("prompt", "none login"), "invalid_request"},
		"prompt none, with a query": {query("prompt", "none", "redirect_uri", rpCallback+"?tenant=1"), "login_required"},
	}
}

// TestAuthorize_Errors: errors go to the site only if its redirect URI is proven.
func TestAuthorize_Errors(t *testing.T) {
	t.Parallel()
	s := startOpenID(t, options{})
	for what, c := range authorizeErrors() {
		a := s.authorize(t, c.q)
		to, err := url.Parse(a.header.Get("Location"))
		must(t, err)
		if c.want == "" {
			if a.status != 400 || to.String() != "" || !strings.Contains(string(a.body), `data-code="invalid_request"`) || strings.Contains(string(a.body), "evil.example") {
				t.Errorf("%s: %d to %q", what, a.status, to)
			}
			continue
		}
		if q := to.Query(); a.status != 303 || to.Host == "evil.example" || q.Get("error") != c.want || q.Get("iss") != public || q.Get("code") != "" || strings.ContainsAny(q.Get("state"), "\r\n") {
			t.Errorf("%s: %d to %q", what, a.status, to)
		}
	}
	for _, ignored := range [][]string{{"prompt", "login consent select_account"}, {"max_age", "0"}, {"max_age", "x"}, {"ui_locales", "zh en"}, {"login_hint", "<x>"},
		{"acr_values", "9"}, {"claims", "{"}, {"display", "page"}, {"display", "popup"}, {"claims_locales", "se"}, {"extra", "foobar"}, {"scope", "email openid"}, {"id_token_hint", "x"}, {"state", "-"}, {"nonce", "-"}, {"scope", "-"}, {"request", ""}, {"response_mode", "query"},
		{"code_challenge", "-", "code_challenge_method", "-"}} {
		if a := s.authorize(t, query(ignored...)); a.status != 200 || strings.Contains(string(a.body), "<x>") {
			t.Errorf("%v: %d", ignored, a.status)
		}
	}
	pushed := s.post(t, "/oauth2/par", query("ui_locales", "xx ar"), basic("rp", rpSecret)...).ok(t, 201)["request_uri"].(string)
	for want, q := range map[string]url.Values{"ja": query("ui_locales", "xx ja-JP ko"), "ar": {"client_id": {"rp"}, "request_uri": {pushed}}, "zh-CN": query("ui_locales", strings.Repeat("x", 300)), "ko": query("ui_locales", "ja", "lang", "ko")} {
		if a := s.authorize(t, q, "Accept-Language", "zh"); !strings.Contains(string(a.body), `<html lang="`+want+`"`) {
			t.Errorf("%v: not in %s: %.80s", q, want, a.body)
		}
	}
	form := s.authorize(t, query("prompt", "none", "response_mode", "form_post", "state", `"><script>`))
	if body := string(form.body); form.status != 200 || !strings.Contains(body, `action="`+rpCallback+`"`) || !strings.Contains(body, `value="login_required"`) || strings.Contains(body, `"><script>`) {
		t.Errorf("form_post: %d %s", form.status, body)
	}
	for what, status := range map[string]int{"client_id=rp": 400, strings.Repeat("x", 17<<10): 413, query().Encode(): 200, query("prompt", "none").Encode(): 303} {
		a, err := s.send(s.stepContext(t), "POST", "/oauth2/authorize", what, "Content-Type", "application/x-www-form-urlencoded")
		must(t, err)
		if a.status != status {
			t.Errorf("posted %.20s: %d, want %d", what, a.status, status)
		}
	}
	a, err := s.send(s.stepContext(t), "POST", "/oauth2/authorize", "{}")
	must(t, err)
	a.requirePage(t, 415, "unsupported_media_type")
}

// TestAuthorize_OtherBrowser: a request is of one browser and ends; what another browser
// tries spends nothing, and a page may make several tickets.
func TestAuthorize_OtherBrowser(t *testing.T) {
	t.Parallel()
	s := startOpenID(t, options{})
	request, cookie := s.open(t, query())
	_, others := s.open(t, query())
	name, _, _ := strings.Cut(cookie, "=")
	body := map[string]any{"request": request}
	for what, headers := range map[string][]string{"none": nil, "another's": {"Cookie", others}, "empty": {"Cookie", name + "="}, "two": {"Cookie", cookie + "; " + cookie},
		"plain name": {"Cookie", strings.TrimPrefix(cookie, "__Host-")}} {
		if detail := s.ask(t, "POST", ticketsPath, body, headers...).problem(t, 403, "state_foreign"); strings.Contains(detail, "WeChat") {
			t.Errorf("%s: %s", what, detail)
		}
	}
	for range 2 {
		p := s.createTicket(t, body, "Cookie", cookie, "Origin", public)
		p.requireState(t, "pending", 1)
	}
	if again, same := s.open(t, query(), "Cookie", cookie); same != cookie || again == request {
		t.Errorf("a second page has the cookie %q", same)
	}
	s.ask(t, "POST", ticketsPath, body, "Cookie", cookie, "Origin", "https://evil.example").problem(t, 403, "origin_not_allowed")
	for _, bad := range []string{"", "abc", request[1:], request[:len(request)-1]} {
		s.ask(t, "POST", ticketsPath, map[string]any{"request": bad}, "Cookie", cookie).problem(t, 403, "state_invalid")
	}
	s.ask(t, "POST", ticketsPath, map[string]any{"request": 1}, "Cookie", cookie).problem(t, 400, "invalid_request")
}
