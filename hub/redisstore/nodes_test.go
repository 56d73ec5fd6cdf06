package redisstore

import (
	"fmt"
	"strings"
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
		if got := write("N2", "{}"); got != `N2 0s {};N1 0s {"a b":1};` {
			t.Errorf("two nodes are listed as %s", got)
		}
		if got := write("N1", "later"); got != "N1 0s later;N2 0s {};" {
			t.Errorf("a later status: %s", got)
		}
		key, now := r.names().key("nodes"), r.clock(t).UnixMilli()
		if ttl := r.inspect.PTTL(limit(t), key).Val(); ttl <= 0 || ttl > nodeLife {
			t.Errorf("the list lives for %v", ttl)
		}
		// One that has stopped, one that wrote 20 s ago, and lines that no node writes.
		lines := fmt.Sprintf("N3 %d stopped\nN5 soon x\nnonsense\n%[2]sN7 %[3]d %[4]s\n%[4]s %[3]d {}\nN4 %[3]d old\n", now-1,
			strings.Repeat(fmt.Sprintf("N6 %d future\n", now+1_000_000), 500), now+40_000, strings.Repeat("x", maxNodeStatus+1))
		must(t, r.inspect.Set(limit(t), key, lines, 0).Err())
		if got := write("N1", "x"); got != "N1 0s x;N4 20s old;" {
			t.Errorf("after a change in Redis: %s", got)
		}
		if stored := r.inspect.Get(limit(t), key).Val(); strings.Count(stored, "\n") != 2 {
			t.Errorf("lines that no node writes stay: %.300s", stored)
		}
		must(t, r.inspect.Set(limit(t), key, strings.Repeat(fmt.Sprintf("N6 %d x\n", now+40_000), 600), 0).Err())
		if got := write("N1", "x"); !strings.HasPrefix(got, "N1 0s x;") || strings.Count(got, ";") != 500 {
			t.Errorf("beside 600 lines: %.100s", got)
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
