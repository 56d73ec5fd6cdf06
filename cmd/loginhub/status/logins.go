package status

import (
	"sync"
	"time"

	"loginhub/hub"
	"loginhub/hub/ticket"
)

// Logins counts the tickets that this node confirms. It is a hub.Metrics that passes
// everything on.
type Logins struct {
	hub.Metrics

	mu      sync.Mutex
	seconds [60]int // by second of the last minute
	last    int64   // the Unix second of the last change of seconds
}

// TicketChanged implements hub.Metrics.
func (l *Logins) TicketChanged(t ticket.Ticket) {
	l.Metrics.TicketChanged(t)
	if t.State != ticket.Confirmed {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seconds[l.advance(time.Now().Unix())]++
}

// LastMinute returns how many tickets were confirmed in the last minute.
func (l *Logins) LastMinute() (sum int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(time.Now().Unix())
	for _, n := range l.seconds {
		sum += n
	}
	return sum
}

// advance clears the seconds that have passed since the last call, and returns the index
// of now. Called with mu held.
func (l *Logins) advance(now int64) int {
	size := int64(len(l.seconds))
	for s := max(l.last+1, now-size+1); s <= now; s++ {
		l.seconds[s%size] = 0
	}
	l.last = max(l.last, now)
	return int(l.last % size)
}
