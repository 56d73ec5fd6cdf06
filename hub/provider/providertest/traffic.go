package providertest

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
)

// Options configure an imitation. The zero value works.
type Options struct {
	// Host is that of the registered callback URL, with a port that is not the default;
	// "" means that every host is registered.
	Host string
	// User has logged in at the provider's page and agrees at once; "": the page asks.
	User string
}

// Imitation is a provider with a page of its own, for tests of whole logins.
type Imitation struct {
	New func(Options) http.Handler
	// Fields are those of the clients file. URL is replaced by the imitation's URL, SECRET by
	// a file with the secret.
	Fields, Secret string
	// Subject is that of the user alice at the provider "door".
	Subject string
}

// Fault changes the answer to one call of the provider's API.
type Fault struct {
	Status int    // HTTP status; 0: 200
	Body   string // answered instead, before the exchange; "" with a Status: an HTML page
	// Hang keeps the answer back until the caller leaves.
	Hang bool
	// Lose closes the connection in place of the answer, after the exchange.
	Lose bool
}

// Traffic counts the calls of an imitation and makes them fail. The zero value works.
type Traffic struct {
	mu     sync.Mutex
	calls  map[string]int
	faults map[string][]Fault
	always map[string]Fault
}

// Fail sets the faults of the next calls to a path.
func (t *Traffic) Fail(path string, faults ...Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.faults == nil {
		t.faults = map[string][]Fault{}
	}
	t.faults[path] = append(t.faults[path], faults...)
}

// Forget drops the faults of Fail that no call has met.
func (t *Traffic) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = nil
}

// FailAlways sets the fault of every call to a path; the zero Fault ends it.
func (t *Traffic) FailAlways(path string, f Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.always == nil {
		t.always = map[string]Fault{}
	}
	t.always[path] = f
}

// Calls returns the number of calls to a path.
func (t *Traffic) Calls(path string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls[path]
}

// Wrap returns a handler that counts the calls to next and applies their faults.
func (t *Traffic) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := t.arrive(r.URL.Path)
		switch {
		case f.Hang:
			_, _ = io.Copy(io.Discard, r.Body) // the server sees the caller leave only after the body
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		case f.Lose:
			next.ServeHTTP(discard{http.Header{}}, r)
			panic(http.ErrAbortHandler)
		case f.Status == 0 && f.Body == "":
			next.ServeHTTP(w, r)
			return
		}
		if f.Body == "" {
			f.Body = "<html><body><h1>Bad Gateway</h1></body></html>"
			w.Header().Set("Content-Type", "text/html")
		} else if f.Body[0] == '{' {
			w.Header().Set("Content-Type", "application/json")
		}
		if f.Status != 0 {
			w.WriteHeader(f.Status)
		}
		_, _ = w.Write([]byte(f.Body))
	})
}

// arrive counts a call and returns its fault.
func (t *Traffic) arrive(path string) Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = map[string]int{}
	}
	t.calls[path]++
	if next := t.faults[path]; len(next) > 0 {
		t.faults[path] = next[1:]
		return next[0]
	}
	return t.always[path]
}

// discard is the ResponseWriter of a lost answer.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// JSON answers a value with a status and a content type.
func JSON(w http.ResponseWriter, status int, mediaType string, value any) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
