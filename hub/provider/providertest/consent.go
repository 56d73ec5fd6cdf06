package providertest

import (
	"html/template"
	"net/http"
	"net/url"
)

// Consent is the page on which a user agrees to a login. It redirects the browser back
// with a code and the state as it came.
type Consent struct {
	Options
	// Title is that of the page.
	Title string
	// Param is the query parameter of the code; "" means code.
	Param string
	// Check returns what the page shows if the link is wrong, as the provider words it; ""
	// if it is right.
	Check func(link url.Values) string
	// Issue returns a code for the user.
	Issue func(user string, link url.Values) string
	// Denied returns the parameters with which the page redirects a user who refuses; nil:
	// it does not redirect.
	Denied url.Values
	// More returns further parameters of every answer; nil: there are none.
	More func(*http.Request) url.Values
}

var consentPage = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>{{.Title}}</title><h1>{{.Title}}</h1>
{{with .Error}}<p id="error">{{.}}</p>{{else}}<form method="post">
<label>User <input name="user" value="alice"></label>
<button id="allow" name="decision" value="allow">Allow</button> <button id="deny" name="decision" value="deny">Deny</button>
</form>{{end}}`))

// ServeHTTP shows the page at GET. The page's form is a POST to the same URL.
func (c *Consent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	link := r.URL.Query()
	show := func(problem string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = consentPage.Execute(w, map[string]string{"Title": c.Title, "Error": problem})
	}
	back, err := url.Parse(link.Get("redirect_uri"))
	problem := c.Check(link)
	if problem == "" && (err != nil || back.Host == "") {
		problem = "redirect_uri"
	}
	user := c.User
	switch {
	case problem != "":
		show(problem)
		return
	case r.Method == http.MethodPost && r.FormValue("decision") == "deny":
		if c.Denied == nil {
			show("denied")
			return
		}
		c.redirect(w, r, back, c.Denied, link)
		return
	case r.Method == http.MethodPost:
		user = r.FormValue("user")
	case user == "":
		show("")
		return
	}
	param := c.Param
	if param == "" {
		param = "code"
	}
	c.redirect(w, r, back, url.Values{param: {c.Issue(user, link)}}, link)
}

// redirect sends the browser back with the values and the state.
func (c *Consent) redirect(w http.ResponseWriter, r *http.Request, back *url.URL, values, link url.Values) {
	q := back.Query()
	for name := range values {
		q.Set(name, values.Get(name))
	}
	if c.More != nil {
		for name, value := range c.More(r) {
			q[name] = value
		}
	}
	if link.Has("state") {
		q.Set("state", link.Get("state"))
	}
	back.RawQuery = q.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// WrongHost reports whether the link's redirect_uri has another host than the
// registered one.
func (o Options) WrongHost(link url.Values) bool {
	back, err := url.Parse(link.Get("redirect_uri"))
	return err != nil || back.Host == "" || o.Host != "" && back.Host != o.Host
}
