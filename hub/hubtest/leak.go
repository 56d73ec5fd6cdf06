package hubtest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Growth of a node's resources that is accepted after a fault. Measured: two more
// goroutines, and those that the first page starts (the poller, and a writer and a reader
// for each processor); four files with one Redis, 25 with a Cluster's three masters; 5 MiB of
// heap with one Redis. The growth comes from the connections to Redis that a burst
// opened and the pool keeps, with buffers of 64 to 256 KiB each. The rest of the heap is
// what a garbage collection under the race detector sometimes leaves. A leak of one
// goroutine or file per login would be a hundred and more; a heap that keeps each of a
// flood's 10,000 tickets grows by at least 600 bytes for each.
const (
	goroutineSlack = 6            // besides two for each processor
	fileSlack      = 12           // for each Redis server
	heapSlack      = 11 << 20 / 2 // with one Redis server
	heapPerServer  = 1 << 19      // for each additional one
)

// MeasureUsage measures the nodes. It measures each three times and takes the lowest,
// because a node that has just started is still busy.
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

// AssertNoLeak checks that a node has no more waiters than before, and that its
// goroutines, files and memory return to their earlier level within half a minute.
func AssertNoLeak(t testing.TB, nodes []*Node, before []ResourceUsage) {
	t.Helper()
	CloseIdleConnections()
	report := ""
	deadline := time.Now().Add(30 * time.Second)
	for i, n := range nodes {
		servers := n.servers()
		for {
			now, err := n.Usage()
			if err == nil && now.Waiters <= before[i].Waiters && now.Goroutines <= before[i].Goroutines+goroutineSlack+2*runtime.GOMAXPROCS(0) &&
				now.Files <= before[i].Files+servers*fileSlack && now.Heap <= before[i].Heap+heapSlack+(servers-1)*heapPerServer {
				report += fmt.Sprintf("\n\tnode %d before: %v\n\t       after:  %v", i, before[i], now)
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("node %d does not return to its earlier level: %v; before %v, %v", i, now, before[i], err)
				break
			}
			<-time.After(200 * time.Millisecond)
		}
	}
	t.Log("back at the earlier level" + report)
}

// servers returns how many Redis servers the node's configuration names.
func (n *Node) servers() int {
	for _, set := range n.cmd.Env {
		if url, ok := strings.CutPrefix(set, "LOGINHUB_REDIS_URL="); ok {
			return 1 + strings.Count(url, "addr=")
		}
	}
	return 1
}
