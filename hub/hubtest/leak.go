package hubtest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What a node may hold beyond its level before a fault, and keep. Measured: two
// goroutines more, four files with one Redis and 25 with a Cluster's three masters,
// 5 MiB of heap with one Redis. What grows is the connections to Redis
// that bursts have opened and the pool keeps, with buffers of 64 to 256 KiB each;
// the rest of the heap is what a garbage collection under the race detector leaves
// now and then. A leak of one goroutine or file per login is a hundred and more;
// a heap that keeps each of a flood's 10,000 tickets, 600 bytes at the least.
const (
	goroutineSlack = 4
	fileSlack      = 12           // for each server of Redis
	heapSlack      = 11 << 20 / 2 // with one server of Redis
	heapPerServer  = 1 << 19      // for each further one
)

// MeasureUsage measures the nodes, each at its calmest of three moments: one that has
// just started still has things to do.
func MeasureUsage(t testing.TB, nodes []*Node) []ResourceUsage {
	t.Helper()
	all := make([]ResourceUsage, len(nodes))
	for i, n := range nodes {
		for moment := range 3 {
			now, err := n.Usage()
			if err != nil {
				t.Fatalf("level of node %d: %v", i, err)
			}
			if moment == 0 || now.Goroutines < all[i].Goroutines {
				all[i] = now
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	return all
}

// AssertNoLeak checks that no more pages wait on a node than before, and that its
// goroutines, files and memory are back where they were, within half a minute.
func AssertNoLeak(t testing.TB, nodes []*Node, before []ResourceUsage) {
	t.Helper()
	CloseIdleConnections()
	told := ""
	deadline := time.Now().Add(30 * time.Second)
	for i, n := range nodes {
		servers := n.servers()
		for {
			now, err := n.Usage()
			if err == nil && now.Waiters <= before[i].Waiters && now.Goroutines <= before[i].Goroutines+goroutineSlack &&
				now.Files <= before[i].Files+servers*fileSlack && now.Heap <= before[i].Heap+heapSlack+(servers-1)*heapPerServer {
				told += fmt.Sprintf("\n\tnode %d before: %v\n\t       after:  %v", i, before[i], now)
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("node %d does not come back to its level: %v; before %v, %v", i, now, before[i], err)
				break
			}
			<-time.After(200 * time.Millisecond)
		}
	}
	t.Log("back at the level" + told)
}

// servers is how many servers of Redis the node knows by name.
func (n *Node) servers() int {
	for _, set := range n.cmd.Env {
		if url, ok := strings.CutPrefix(set, "LOGINHUB_REDIS_URL="); ok {
			return 1 + strings.Count(url, "addr=")
		}
	}
	return 1
}
