//go:build !linux

package hub

// newPoller returns no poller: a goroutine waits for each connection.
func newPoller(int) (poller, error) { return nil, nil }
