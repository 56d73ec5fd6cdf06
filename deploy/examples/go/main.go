// A whole site whose users log in with their phone: a page with the widget, and a
// back end that verifies the token and creates its own session.
//
//	HUB=https://login.example.com CLIENT_ID=demo LISTEN=:3000 go run .
package main

import (
	"crypto/rand"
	"html/template"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"

	"loginhub/api/token/verify"
)

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Example</title>
<main>
<h1>Example</h1>
{{if .User}}
<p>Logged in as <strong id="user">{{.User}}</strong></p>
<form method="post" action="/logout"><button>Log out</button></form>
{{else}}
<script type="module" src="{{.Hub}}/assets/client/widget/login-qr.js"></script>
<login-qr client="{{.Client}}" login-nonce="{{.Nonce}}"></login-qr>
<script type="module">
  const widget = document.querySelector("login-qr")
  widget.addEventListener("login", ({ detail }) =>
    detail.waitUntil(fetch("/session", { method: "POST", body: detail.token }).then((answer) => {
      if (!answer.ok) throw new Error("the site answers " + answer.status)
    })))
  widget.addEventListener("state", ({ detail }) => { if (detail.state === "consumed") location.reload() })
</script>
{{end}}
</main>
</html>`))

type site struct {
	hub, client string
	prefix      string // of the cookies' names
	verifier    *verify.Verifier
	seen        verify.MemoryStore // with several processes use Redis: see the package's example
	sessions    sync.Map           // id to user; in production use a store whose sessions expire
}

func main() {
	s := &site{hub: strings.TrimRight(os.Getenv("HUB"), "/"), client: os.Getenv("CLIENT_ID")}
	if !strings.HasPrefix(s.hub, "http://") { // with a local hub the site is local: Safari has no Secure cookies on http
		s.prefix = "__Host-"
	}
	s.verifier = verify.New(s.hub, s.client, verify.Options{})
	http.HandleFunc("GET /{$}", s.show)
	http.HandleFunc("POST /session", s.login)
	http.HandleFunc("POST /logout", s.logout)
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), nil))
}

// show serves the page. A browser that is not logged in gets its nonce in a cookie.
func (s *site) show(w http.ResponseWriter, r *http.Request) {
	nonce := s.cookie(r, "nonce")
	if nonce == "" {
		nonce = rand.Text()
		s.set(w, "nonce", nonce)
	}
	user, _ := s.sessions.Load(s.cookie(r, "session"))
	w.Header().Set("Cache-Control", "no-store")
	if err := page.Execute(w, map[string]any{"User": user, "Hub": s.hub, "Client": s.client, "Nonce": nonce}); err != nil {
		log.Print(err)
	}
}

// login accepts the token that the page received.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	token, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<10))
	if err != nil {
		http.Error(w, "too long for a token", http.StatusRequestEntityTooLarge)
		return
	}
	claims, err := s.verifier.Verify(r.Context(), string(token), s.cookie(r, "nonce"), &s.seen)
	if err != nil {
		log.Print("login refused: ", err)
		http.Error(w, "login refused", http.StatusUnauthorized)
		return
	}
	id := rand.Text() // a new id: an attacker may know the old one
	s.sessions.Store(id, claims.Subject)
	s.set(w, "session", id)
	s.set(w, "nonce", "")
	w.WriteHeader(http.StatusNoContent)
}

func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	s.sessions.Delete(s.cookie(r, "session"))
	s.set(w, "session", "")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *site) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(s.prefix + name)
	if err != nil {
		return ""
	}
	return c.Value
}

// set sets a cookie for the browser's session; an empty value deletes it. No other
// site, and no other host of this domain, can set a Secure cookie named __Host-.
func (s *site) set(w http.ResponseWriter, name, value string) {
	age := 0
	if value == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{Name: s.prefix + name, Value: value, Path: "/", MaxAge: age,
		Secure: s.prefix != "", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
