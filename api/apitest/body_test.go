package apitest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// bodyOfSize returns a valid body of that many bytes.
func bodyOfSize(size int) string {
	const head, tail = `{"more":"`, `"}`
	return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
}

func TestBody_EmptyEqualsObject(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for name, headers := range map[string][]string{
		"no body, no type":    nil,
		"no body, JSON":       {"Content-Type", "application/json"},
		"no body, other type": {"Content-Type", "text/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			s.ask(t, "POST", ticketsPath, nil, headers...).ok(t, http.StatusCreated)
		})
	}
	t.Run("empty chunks", func(t *testing.T) {
		s.ask(t, "POST", ticketsPath, chunked("")).ok(t, http.StatusCreated)
		s.ask(t, "POST", ticketsPath, chunked(""), "Content-Type", "").ok(t, http.StatusCreated)
	})
	t.Run("a required field is missing in {}", func(t *testing.T) {
		p := s.createTicket(t, nil)
		detail := s.ask(t, "POST", p.path("scan"), nil).problem(t, 400, "invalid_request")
		if !strings.Contains(detail, "provider") {
			t.Errorf("detail %q does not name the provider", detail)
		}
		s.ask(t, "POST", p.path("ack"), nil, p.bearer()...).problem(t, 400, "invalid_request")
	})
}

func TestBody_MediaType(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for kind, good := range map[string]bool{
		"application/json":                          true,
		"Application/JSON":                          true,
		"application/json; charset=utf-8":           true,
		"application/json;charset=UTF-8":            true,
		`application/json; charset="utf-8"`:         true,
		"application/json; charset=Utf-8":           true, // names of charsets are case-insensitive (RFC 9110, 8.3.2)
		"application/json; charset=gbk":             false,
		"application/json; charset=iso-8859-1":      false,
		"application/json; charset=utf-16":          false,
		"application/problem+json":                  false,
		"application/json-patch+json":               false,
		"application/x-www-form-urlencoded":         false,
		"multipart/form-data; boundary=x":           false,
		"text/json":                                 false,
		"text/plain":                                false,
		"application/jsonx":                         false,
		"json":                                      false,
		"*/*":                                       false,
		"":                                          false,
		"application/json, text/plain":              false,
		"application/json; charset=utf-8; charset=": false,
	} {
		t.Run(kind, func(t *testing.T) {
			for _, body := range []any{"{}", chunked("{}")} {
				a := s.ask(t, "POST", ticketsPath, body, "Content-Type", kind)
				if good {
					a.ok(t, http.StatusCreated)
				} else {
					a.problem(t, 415, "unsupported_media_type")
				}
			}
		})
	}
}

func TestBody_MediaTypeEveryEndpoint(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for _, path := range []string{ticketsPath, p.path("ack"), p.path("cancel"), p.path("remember"), p.path("scan"), p.path("confirm"), p.path("reject"), p.path("dispute"), exchangePath} {
		s.ask(t, "POST", path, "{}", "Content-Type", "text/plain").problem(t, 415, "unsupported_media_type")
		s.ask(t, "POST", path, bodyOfSize(16<<10+1)).problem(t, 413, "too_large")
		s.ask(t, "POST", path, "{").problem(t, 400, "invalid_request")
	}
	p.requireState(t, "pending", 1)
}

// TestBody_Forms: a malformed form is refused before everything else. Endpoints of sites
// answer as RFC 6749 says, the others with pages.
func TestBody_Forms(t *testing.T) {
	t.Parallel()
	s := startOpenID(t, options{})
	p := s.createTicket(t, map[string]any{"client_id": "demo"})
	long := strings.Repeat("x", 16<<10)
	for path, field := range map[string]string{"/oauth2/par": "scope", "/oauth2/token": "code", "/oauth2/introspect": "token", "/oauth2/revoke": "token",
		"/oauth2/device_authorization": "scope", "/oauth2/authorize": "scope", "/device": "user_code",
		"/s/" + p.id + "/confirm": "csrf", "/s/" + p.id + "/reject": "match", "/s/" + p.id + "/open": "token"} {
		large, json, twice := s.post(t, path, url.Values{field: {long}}), s.post(t, path, nil, "Content-Type", "application/json"), s.post(t, path, url.Values{field: {"x", "x"}})
		if strings.HasPrefix(path, "/oauth2/") && path != "/oauth2/authorize" {
			large.requireOAuth(t, path, 413, "invalid_request")
			json.requireOAuth(t, path, 400, "invalid_request")
			twice.requireOAuth(t, path, 400, "invalid_request")
			continue
		}
		large.requirePage(t, 413, "too_large")
		json.requirePage(t, 415, "unsupported_media_type")
		twice.requirePage(t, 400, "invalid_request")
	}
	for _, action := range []string{"confirm", "reject", "open"} {
		s.post(t, "/s/AAAA/"+action, nil).requirePage(t, 404, "ticket_not_found")
	}
	s.ask(t, "GET", "/s/AAAA/consent", nil).requirePage(t, 404, "ticket_not_found")
}

func TestBody_SizeLimit(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for name, wrap := range map[string]func(string) any{
		"with its length": func(b string) any { return b },
		"in chunks":       func(b string) any { return chunked(b) },
	} {
		t.Run(name, func(t *testing.T) {
			s.ask(t, "POST", ticketsPath, wrap(bodyOfSize(16<<10))).ok(t, http.StatusCreated)
			s.ask(t, "POST", ticketsPath, wrap(bodyOfSize(16<<10+1))).problem(t, 413, "too_large")
			// The JSON is malformed, but the size is checked first.
			s.ask(t, "POST", ticketsPath, wrap(strings.Repeat("x", 200<<10))).problem(t, 413, "too_large")
		})
	}
}

func TestBody_Malformed(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for name, body := range map[string]string{
		"nothing but a blank":               " ",
		"null":                              "null",
		"an array":                          "[]",
		"an array of objects":               `[{"nonce":"n"}]`,
		"a string":                          `"{}"`,
		"a number":                          "1",
		"true":                              "true",
		"cut off":                           `{"nonce":"n"`,
		"trailing object":                   "{}{}",
		"trailing text":                     "{} x",
		"trailing comma":                    `{"nonce":"n",}`,
		"single quotes":                     "{'nonce':'n'}",
		"a comment":                         "{/* n */}",
		"two byte order marks":              "\ufeff\ufeff{}",
		"byte order mark after":             "{}\ufeff",
		"UTF-16":                            "\xff\xfe{\x00}\x00",
		"invalid UTF-8":                     "{\"nonce\":\"\xff\xfe\"}",
		"invalid UTF-8 in name":             "{\"\xc3\":1}",
		"invalid UTF-8 in an unknown field": "{\"more\":\"\xed\xa0\x80\"}", // half of a surrogate pair
		"control character":                 "{\"nonce\":\"a\nb\"}",
		"a NUL":                             "{}\x00",
		"NaN":                               `{"more":NaN}`,
		"deep arrays":                       strings.Repeat("[", 16000),
		"deep objects":                      strings.Repeat(`{"a":`, 3000),
		"too deep":                          `{"more":` + strings.Repeat("[", 12000) + "1" + strings.Repeat("]", 3000) + "}",
	} {
		t.Run(name, func(t *testing.T) {
			s.ask(t, "POST", ticketsPath, body).problem(t, 400, "invalid_request")
			s.ask(t, "POST", ticketsPath, chunked(body)).problem(t, 400, "invalid_request")
		})
	}
}

func TestBody_ByteOrderMark(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for _, body := range []any{"\ufeff{}", chunked("\ufeff{}"), "\ufeff"} {
		s.ask(t, "POST", ticketsPath, body).ok(t, http.StatusCreated)
	}
	p := s.createTicket(t, nil)
	for _, action := range []string{"scan", "confirm"} {
		body := "\ufeff" + `{"provider":"sandbox","code":"` + s.phone("ann").code() + `"}`
		s.ask(t, "POST", p.path(action), body).ok(t, http.StatusOK)
	}
	s.ask(t, "POST", p.path("ack"), "\ufeff"+`{"seq":3}`, p.bearer()...).noContent(t)
}

func TestBody_UnknownFields(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for _, body := range []string{
		`{"more":1,"nonce":"n"}`,
		`{"more":{"deep":[[[{}]]]},"":null}`,
		`{"secret":"x","ticket":7,"state":"confirmed","seq":[1]}`,
		`{"more":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		" \t\r\n{ } \n",
	} {
		m := s.ask(t, "POST", ticketsPath, body).ok(t, http.StatusCreated)
		fields(t, m, "ticket", "secret", "state", "seq", "expires_in", "qr_url", "qr_image", "scan_with")
	}
	p := s.createTicket(t, nil)
	s.phone("ann").mustDo(t, p, "scan", "more", 1, "session_key", "x", "user", map[string]any{"nickname": "Ann", "gender": 2})
	p.requireState(t, "scanned", 2)
}

func TestBody_NullIsAbsent(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.ask(t, "POST", ticketsPath, `{"client_id":null,"nonce":null}`).ok(t, http.StatusCreated)
	p := s.createTicket(t, nil)
	s.phone("ann").mustDo(t, p, "scan", "user", nil, "match", nil)
	s.ask(t, "POST", p.path("confirm"), `{"provider":null,"code":"x"}`).problem(t, 400, "invalid_request")
	s.ask(t, "POST", p.path("ack"), `{"seq":null}`, p.bearer()...).problem(t, 400, "invalid_request")
}

func TestBody_FieldLimits(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	user := func(field string, v any) []any { return []any{"user", map[string]any{field: v}} }
	avatar := func(size int) string {
		const head = "https://example.com/"
		return head + strings.Repeat("a", size-len(head))
	}
	long := "sandbox:ann:" + strings.Repeat("x", 4096)
	cases := []struct {
		name  string
		more  []any
		names string // what the detail must name; "" if the body is valid
	}{
		{"a code of 4,096 bytes", []any{"code", long[:4096]}, ""},
		{"a code of 4,097 bytes", []any{"code", long[:4097]}, "code"},
		{"a code counts in bytes", []any{"code", "sandbox:ann:" + strings.Repeat("国", 1362)}, "code"},
		{"no code", []any{"code", ""}, "code"},
		{"a code that is a number", []any{"code", 7}, "code"},
		{"no provider", []any{"provider", ""}, "provider"},
		{"an unknown provider", []any{"provider", "wechat"}, "provider"},
		{"a provider in capitals", []any{"provider", "Sandbox"}, "provider"},
		{"a provider that is a list", []any{"provider", []string{"sandbox"}}, "provider"},
		{"a nickname of 64 characters", user("nickname", strings.Repeat("国", 64)), ""},
		{"a nickname of 65 characters", user("nickname", strings.Repeat("国", 65)), "nickname"},
		{"a nickname that is a number", user("nickname", 7), "nickname"},
		{"an avatar of 513 bytes", user("avatar_url", avatar(513)), "avatar_url"},
		{"an avatar of script", user("avatar_url", "javascript:alert(1)"), "avatar_url"},
		{"a user that is text", []any{"user", "ann"}, "user"},
		{"a user that is a list", []any{"user", []string{}}, "user"},
		{"an empty user", []any{"user", map[string]any{}}, ""},
		{"a number of one digit", []any{"match", "4"}, "match"},
		{"a number with a newline", []any{"match", "47\n"}, "match"},
		{"a number as a number", []any{"match", 47}, "match"},
		{"a number although matching is off", []any{"match", "47"}, ""},
	}
	for _, action := range []string{"scan", "confirm", "reject"} {
		for i, c := range cases {
			t.Run(action+", "+c.name, func(t *testing.T) {
				p := s.createTicket(t, nil)
				more := c.more
				if c.name == "a code of 4,096 bytes" { // each call needs a code of its own
					more = []any{"code", fmt.Sprintf("sandbox:ann:%s%04d%s", action, i, long)[:4096]}
				}
				a := s.phone("ann").do(t, p, action, more...)
				if c.names == "" {
					a.ok(t, http.StatusOK)
					return
				}
				if detail := a.problem(t, 400, "invalid_request"); !strings.Contains(detail, c.names) {
					t.Errorf("detail %q does not name %s", detail, c.names)
				}
				p.requireState(t, "pending", 1) // nothing changed
			})
		}
	}
}

func TestBody_AckSeq(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for _, seq := range []string{`"1"`, `1.5`, `true`, `[1]`, `{}`, `1e400`, `99999999999999999999`} {
		detail := s.ask(t, "POST", p.path("ack"), `{"seq":`+seq+`}`, p.bearer()...).problem(t, 400, "invalid_request")
		if !strings.Contains(detail, "seq") {
			t.Errorf("seq %s: detail %q does not name it", seq, detail)
		}
	}
	for _, seq := range []string{`0`, `-1`, `9007199254740993`} { // integers, but not the version of this ticket
		s.ask(t, "POST", p.path("ack"), `{"seq":`+seq+`}`, p.bearer()...).problem(t, 409, "not_confirmed")
	}
}

func TestBody_Truncated(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	conn, err := s.dial(s.stepContext(t))
	must(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}", ticketsPath)
	must(t, conn.(*net.TCPConn).CloseWrite())
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(resp.Body)
	must(t, err)
	a.problem(t, 400, "invalid_request")
}
