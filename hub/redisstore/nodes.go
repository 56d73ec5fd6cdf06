package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// nodeLife is how long a node stays in the list of nodes after its last status.
const nodeLife = time.Minute

// maxNodeStatus is the maximum length of a node's status, in bytes. Longer ones, which no
// node writes, are left out.
const maxNodeStatus = 1024

// NodeStatus is a line of the list of nodes. Anyone who writes in Redis can forge it: it is
// for display only.
type NodeStatus struct {
	Node   string
	Age    time.Duration // since the node wrote it, by the store's clock
	Status string        // as Write got it
}

// NodeList is the list of the nodes that use a store.
type NodeList struct{ Store *Store }

// Write writes a node's status, one line of text, into the list, and returns the list.
// Only nodes that have written in the last minute are in it.
func (l NodeList) Write(ctx context.Context, node, status string) ([]NodeStatus, error) {
	if strings.ContainsRune(status, '\n') || len(status) > maxNodeStatus {
		return nil, fmt.Errorf("redis: a node's status is one line of at most %d bytes", maxNodeStatus)
	}
	s, start := l.Store, time.Now()
	c := newCall(s.scripts.nodes, []string{s.names().key("nodes")}, node, status, nodeLife.Milliseconds())
	err := s.run(ctx, []*call{c})
	s.observe(ctx, callNodes, start, err)
	if err != nil {
		return nil, err
	}
	reply, err := c.cmd.Slice()
	if err != nil {
		return nil, unavailable(err)
	}
	if len(reply) == 2 {
		list, text := reply[0].(string)
		now, number := reply[1].(int64)
		if text && number {
			return parseNodes(list, now), nil
		}
	}
	return nil, unavailable(errors.New("the script of the list of nodes replied something else"))
}

// parseNodes parses the list, without the lines that no node writes.
func parseNodes(list string, now int64) (all []NodeStatus) {
	for line := range strings.Lines(list) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
		if len(fields) != 3 || len(fields[0]) > 64 || len(fields[2]) > maxNodeStatus {
			continue
		}
		expires, err := strconv.ParseInt(fields[1], 10, 64)
		if age := nodeLife - time.Duration(expires-now)*time.Millisecond; err == nil && age >= 0 && age <= nodeLife {
			all = append(all, NodeStatus{Node: fields[0], Age: age, Status: fields[2]})
		}
	}
	return all
}
