package judges

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
)

// Browser is a person's browser, with cookies and a phone.
type Browser struct {
	t     *testing.T
	hub   *Hub
	http  *http.Client
	phone *hubtest.Phone
	edit  func(*url.URL) // changes the URLs that the browser opens at the hub; nil: none

	cameBack func() *http.Request // repeats the last request that brought a code to the site
}

// Page is a page that the browser shows.
type Page struct {
	URL    *url.URL
	Status int
	Body   string
}

func newBrowser(t *testing.T, h *Hub, user string) *Browser {
	jar, _ := cookiejar.New(nil) // fails only with options
	return &Browser{t: t, hub: h, phone: hubtest.NewPhone(user), http: &http.Client{Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Open follows redirects from a URL and logs in at the hub's page. stop, if not "", ends
// it at the redirect to a URL that begins with it: that page is not opened.
func (b *Browser) Open(start, stop string) Page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, start, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.Follow(r, stop)
}

// Follow is Open for any request.
func (b *Browser) Follow(r *http.Request, stop string) Page {
	b.t.Helper()
	for range 20 {
		if b.edit != nil && strings.HasPrefix(r.URL.String(), b.hub.Issuer) {
			b.edit(r.URL)
		}
		p := b.do(r)
		if to := p.next; to != "" {
			if stop != "" && strings.HasPrefix(to, stop) {
				u, _ := url.Parse(to)
				return Page{URL: u}
			}
			next, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, to, nil)
			if err != nil {
				b.t.Fatal(err)
			}
			r = next
			continue
		}
		request := requestMeta.FindStringSubmatch(p.Body)
		if request == nil {
			return p.Page
		}
		r = b.login(html.UnescapeString(request[1]))
		first := r
		b.cameBack = func() *http.Request {
			again := first.Clone(b.t.Context())
			if first.GetBody != nil {
				again.Body, _ = first.GetBody() // of a strings.Reader: never fails
			}
			return again
		}
		if stop != "" && strings.HasPrefix(r.URL.String(), stop) {
			return Page{URL: r.URL}
		}
	}
	b.t.Fatalf("%s: too many redirects", r.URL)
	return Page{}
}

var requestMeta = regexp.MustCompile(`<meta name="loginhub-request" content="([^"]+)"`)

type step struct {
	Page
	next string
}

func (b *Browser) do(r *http.Request) step {
	b.t.Helper()
	r.Header.Set("Accept", "text/html")
	a, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(io.LimitReader(a.Body, 1<<20))
	if err != nil {
		b.t.Fatal(err)
	}
	s := step{Page: Page{URL: r.URL, Status: a.StatusCode, Body: string(body)}}
	if to, err := a.Location(); err == nil && a.StatusCode/100 == 3 {
		s.next = to.String()
	}
	return s
}

// login makes a ticket for the authorize request, confirms it on the phone and returns
// the request with which the browser goes back to the site.
func (b *Browser) login(request string) *http.Request {
	b.t.Helper()
	var made struct{ Ticket, Secret string }
	b.api(http.MethodPost, "/api/login/tickets", "", map[string]string{"request": request}, &made)
	for _, action := range []string{"scan", "confirm"} {
		if err := hubtest.CallOK(b.t.Context(), b.phone, b.hub.Issuer, made.Ticket, action); err != nil {
			b.t.Fatal(err)
		}
	}
	var view struct {
		State      string
		Seq        int64
		RedirectTo string `json:"redirect_to"`
		FormPost   *struct {
			Action string
			Fields map[string]string
		} `json:"form_post"`
	}
	b.api(http.MethodGet, "/api/login/tickets/"+made.Ticket+"/poll", made.Secret, nil, &view)
	b.api(http.MethodPost, "/api/login/tickets/"+made.Ticket+"/ack", made.Secret, map[string]int64{"seq": view.Seq}, nil)
	if view.FormPost != nil {
		fields := url.Values{}
		for k, v := range view.FormPost.Fields {
			fields.Set(k, v)
		}
		r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, view.FormPost.Action, strings.NewReader(fields.Encode()))
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, view.RedirectTo, nil)
	if err != nil || view.RedirectTo == "" {
		b.t.Fatalf("view %+v: %v", view, err)
	}
	return r
}

func (b *Browser) api(method, path, bearer string, body, into any) {
	b.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.hub.Issuer+path, bytes.NewReader(text))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Origin", b.hub.Issuer)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	p := b.do(r)
	if p.Status/100 != 2 {
		b.t.Fatalf("%s %s: %d %s", method, path, p.Status, p.Body)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(p.Body), into); err != nil {
			b.t.Fatal(fmt.Errorf("%s %s: %w", method, path, err))
		}
	}
}
