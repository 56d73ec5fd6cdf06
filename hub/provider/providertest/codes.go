package providertest

import (
	"crypto/rand"
	"sync"
	"time"
)

// State is what became of a code.
type State int

// The states.
const (
	Good    State = iota
	Unknown       // never issued
	Used
	Expired
)

// Codes issues single-use codes and tokens. The zero value works, without an expiry.
type Codes[T any] struct {
	Life   time.Duration // 0: codes do not expire
	Now    func() time.Time
	Prefix string // of every code

	mu     sync.Mutex
	issued map[string]*entry[T]
}

type entry[T any] struct {
	value   T
	expires time.Time
	used    bool
}

// Issue returns a code for a value.
func (c *Codes[T]) Issue(value T) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.issued == nil {
		c.issued = map[string]*entry[T]{}
	}
	code := c.Prefix + rand.Text()
	c.issued[code] = &entry[T]{value: value, expires: c.now().Add(c.Life)}
	return code
}

// Redeem returns the value of a code and uses it up.
func (c *Codes[T]) Redeem(code string) (T, State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, state := c.look(code)
	if state == Good {
		c.issued[code].used = true
	}
	return value, state
}

// Look returns the value of a code that may be used again, such as an access token.
func (c *Codes[T]) Look(code string) (T, State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look(code)
}

// look is called with mu held.
func (c *Codes[T]) look(code string) (value T, state State) {
	e := c.issued[code]
	switch {
	case e == nil:
		return value, Unknown
	case e.used:
		return value, Used
	case c.Life > 0 && !c.now().Before(e.expires):
		return value, Expired
	}
	return e.value, Good
}

// Revoke makes all codes expire.
func (c *Codes[T]) Revoke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.issued {
		e.used = true
	}
}

func (c *Codes[T]) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
