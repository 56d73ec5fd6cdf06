package status

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"loginhub/hub"
	"loginhub/hub/redisstore"
)

// A node writes its status every writeInterval, and within stateInterval after its state
// has changed.
const (
	writeInterval = 5 * time.Second
	stateInterval = time.Second
)

// States of a node.
const (
	Ready    = "ready"
	NotReady = "not_ready"
	Draining = "draining"
)

// Node is a node's status. All nodes of the fleet read it, also those of other versions.
type Node struct {
	ID      string `json:"id,omitempty"` // not written: the list has it
	Version string `json:"version"`
	Started int64  `json:"started"` // Unix time, by the node's own clock
	State   string `json:"state"`
	Reason  string `json:"reason,omitempty"` // why it is not ready
	Sockets int    `json:"sockets"`          // waiting pages, by transport
	Polls   int    `json:"polls"`
	Max     int    `json:"max"`    // limit of the sum
	Logins  int    `json:"logins"` // confirmed in the last minute

	Age  int  `json:"age"` // seconds since it was written
	Self bool `json:"self,omitempty"`
}

// List is the store's list of nodes. redisstore.NodeList implements it.
type List interface {
	Write(ctx context.Context, node, status string) ([]redisstore.NodeStatus, error)
}

// Fleet writes this node's status into the list of nodes, and keeps what it has read
// there. Nodes of releases without the list are not in it.
type Fleet struct {
	List    List
	Hub     *hub.Hub
	Logins  *Logins
	Version string
	Log     *slog.Logger

	started time.Time // set by Run
	mu      sync.Mutex
	nodes   []Node
	err     error
	read    time.Time
}

// Run writes and reads until ctx ends.
func (f *Fleet) Run(ctx context.Context) {
	f.started = time.Now()
	tick := time.NewTicker(stateInterval)
	defer tick.Stop()
	var last Node
	for written := (time.Time{}); ; {
		if own := f.own(); own.State != last.State || time.Since(written) >= writeInterval-stateInterval/2 {
			f.exchange(ctx, own)
			last, written = own, time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// own returns this node's status.
func (f *Fleet) own() Node {
	n := Node{Version: f.Version, Started: f.started.Unix(), State: Ready, Max: f.Hub.MaxWaiters(), Logins: f.Logins.LastMinute()}
	n.Sockets, n.Polls = f.Hub.WaitingBy()
	switch err := f.Hub.Ready(); {
	case f.Hub.Draining():
		n.State = Draining
	case err != nil:
		n.State, n.Reason = NotReady, err.Error()
		n.Reason = n.Reason[:min(len(n.Reason), 200)]
	}
	return n
}

// exchange writes this node's status and reads those of all.
func (f *Fleet) exchange(ctx context.Context, own Node) {
	text, err := json.Marshal(own)
	if err != nil {
		f.Log.Error("the node's status", "error", err)
		return
	}
	lines, err := f.List.Write(ctx, f.Hub.Node(), string(text))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err = err; err != nil {
		f.Log.Debug("the list of nodes", "error", err)
		return
	}
	f.nodes, f.read = parse(lines), time.Now()
}

// parse leaves out lines that no node has written.
func parse(lines []redisstore.NodeStatus) (nodes []Node) {
	for _, line := range lines {
		var n Node
		if json.Unmarshal([]byte(line.Status), &n) != nil {
			continue
		}
		n.ID, n.Age = line.Node, int(line.Age.Seconds())
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	return nodes
}

// Nodes returns the nodes as last read from the store, and why a later read failed. This
// node's own status is current.
func (f *Fleet) Nodes() ([]Node, error) {
	f.mu.Lock()
	nodes, err, since := slices.Clone(f.nodes), f.err, int(time.Since(f.read).Seconds())
	f.mu.Unlock()
	for i := range nodes {
		nodes[i].Age += since
	}
	own := f.own()
	own.ID, own.Self = f.Hub.Node(), true
	if i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == own.ID }); i >= 0 {
		nodes[i] = own
	} else {
		nodes = append(nodes, own)
	}
	if err != nil {
		err = fmt.Errorf("list of nodes: %w", err)
	}
	return nodes, err
}
