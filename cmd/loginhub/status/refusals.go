package status

import (
	"slices"
	"sync"
	"time"

	"loginhub/api"
)

// maxRefusals is how many refused calls a node remembers.
const maxRefusals = 100

// Refusal is a refused call, or several equal ones in a row.
type Refusal struct {
	api.Refusal
	Last  time.Time `json:"time"` // of the last one
	Times int       `json:"times"`
}

// Refusals remembers this node's last refused calls, in memory only.
type Refusals struct {
	mu  sync.Mutex
	all []Refusal // oldest first
}

// Add remembers a call. It counts one that equals the one before, so that a page that
// tries again does not push the others out.
func (r *Refusals) Add(call api.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Second)
	if n := len(r.all); n > 0 {
		last := &r.all[n-1]
		if call.Like(last.Refusal) {
			last.Refusal, last.Last = call, now
			last.Times++
			return
		}
	}
	if len(r.all) == maxRefusals {
		r.all = slices.Delete(r.all, 0, 1)
	}
	r.all = append(r.all, Refusal{call, now, 1})
}

// Last returns the remembered calls, the newest first.
func (r *Refusals) Last() []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.all)
	slices.Reverse(all)
	return all
}
