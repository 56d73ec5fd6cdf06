package chaos_test

import (
	"fmt"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// What a node may hold beyond its level before a fault: connections to Redis
// that its pool has opened meanwhile and keeps (ten per processor and server),
// and memory that caches and the sandbox's used codes have taken. A leak of one
// per login, or per fault, is far above.
const (
	fileSlack      = 48
	goroutineSlack = 24
	heapSlack      = 12 << 20
)

// levels measures the nodes.
func levels(t *testing.T, nodes []*hubtest.Node) []hubtest.Level {
	t.Helper()
	all := make([]hubtest.Level, len(nodes))
	for i, n := range nodes {
		var err error
		if all[i], err = n.Level(); err != nil {
			t.Fatalf("level of node %d: %v", i, err)
		}
	}
	return all
}

// settled checks that no more pages wait on a node than before, and that its goroutines,
// files and memory are back where they were.
func settled(t *testing.T, nodes []*hubtest.Node, before []hubtest.Level) {
	t.Helper()
	hubtest.HangUp()
	told := ""
	deadline := time.Now().Add(30 * time.Second)
	for i, n := range nodes {
		for {
			now, err := n.Level()
			if err == nil && now.Waiters <= before[i].Waiters && now.Goroutines <= before[i].Goroutines+goroutineSlack &&
				now.Files <= before[i].Files+fileSlack && now.Heap <= before[i].Heap+heapSlack {
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
