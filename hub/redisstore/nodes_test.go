package redisstore

import (
	"fmt"
	"testing"
	"time"
)

// nodeCases are the cases of the list of nodes.
var nodeCases = map[string]func(*testing.T, *fixture){
	"nodes are listed, and leave the list": func(t *testing.T, r *fixture) {
		list := NodeList{r.Store}
		write := func(node, status string) (all string) {
			t.Helper()
			nodes, err := list.Write(limit(t), node, status)
			must(t, err)
			for _, n := range nodes {
				all += fmt.Sprintf("%s %v %s;", n.Node, n.Age.Round(5*time.Second), n.Status)
			}
			return all
		}
		write("N1", `{"a b":1}`)
		if got := write("N2", "{}"); got != `N1 0s {"a b":1};N2 0s {};` {
			t.Errorf("two nodes are listed as %s", got)
		}
		if got := write("N1", "later"); got != "N2 0s {};N1 0s later;" {
			t.Errorf("a later status: %s", got)
		}
		key, now := r.names().key("nodes"), r.clock(t).UnixMilli()
		if ttl := r.inspect.PTTL(limit(t), key).Val(); ttl <= 0 || ttl > nodeLife {
			t.Errorf("the list lives for %v", ttl)
		}
		// One that has stopped, one that wrote 20 s ago, and lines that no node writes.
		lines := fmt.Sprintf("N3 %d stopped\nN4 %d old\nN5 soon x\nnonsense\nN6 %d future\n", now-1, now+40_000, now+1_000_000)
		must(t, r.inspect.Set(limit(t), key, lines, 0).Err())
		if got := write("N1", "x"); got != "N4 20s old;N1 0s x;" {
			t.Errorf("after a change in Redis: %s", got)
		}
		must(t, r.inspect.Del(limit(t), key).Err())
		must(t, r.inspect.HSet(limit(t), key, "a", "b").Err())
		if nodes, err := list.Write(limit(t), "N1", "x"); err == nil {
			t.Errorf("a key of another type: %v", nodes)
		}
		must(t, r.inspect.Del(limit(t), key).Err())
		if _, err := list.Write(limit(t), "N1", "two\nlines"); err == nil {
			t.Error("a status of two lines is accepted")
		}
	},
}
