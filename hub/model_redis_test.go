package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// modelRedis does in memory what the Lua scripts of package redisstore do;
// TestModel_StoreMatchesRedis compares the two. It is guarded by modelNet.mu.
type modelRedis struct {
	records map[ticket.ID]*modelRecord
	open    func(ticket.ID, []byte) (ticket.Ticket, error)
	publish func(node string, message []byte)
	evicted func(node string) // called when a fifth node replaces the oldest
}

type modelRecord struct {
	sealed         []byte
	nodes          []string
	expireAt       time.Time
	versions       []ticket.Ticket // every version that was not lost, oldest first
	sealedVersions [][]byte        // the sealed bytes of versions
	lostVersions   []ticket.Ticket // versions that Redis lost
	changedAt      time.Time       // when the last version was stored or lost
}

func (r *modelRedis) now() time.Time { return time.UnixMilli(time.Now().UnixMilli()).UTC() }

// find returns a record that has not expired.
func (r *modelRedis) find(id ticket.ID) *modelRecord {
	if rec := r.records[id]; rec != nil && r.now().Before(rec.expireAt) {
		return rec
	}
	return nil
}

func (r *modelRedis) create(id ticket.ID, sealed []byte, deadline time.Time, life time.Duration) (made bool, err error) {
	if old := r.find(id); old != nil {
		if !bytes.Equal(old.sealed, sealed) {
			return false, fmt.Errorf("ticket id %s is taken", id.Short())
		}
		return true, nil
	}
	if off := deadline.Add(-life).Sub(r.now()); off.Abs() > time.Second {
		return false, nil
	}
	rec := &modelRecord{sealed: sealed, expireAt: deadline.Add(ticket.Tombstone)}
	r.records[id] = rec
	r.record(rec, id)
	return true, nil
}

// record adds the present version to the history.
func (r *modelRedis) record(rec *modelRecord, id ticket.ID) {
	t, err := r.open(id, rec.sealed)
	if err != nil {
		panic(err) // every node of the model has the same keys
	}
	rec.versions, rec.sealedVersions, rec.changedAt = append(rec.versions, t), append(rec.sealedVersions, rec.sealed), time.Now()
}

// rollBack undoes the last change, as if a master failed before its replica had it.
func (r *modelRedis) rollBack(rec *modelRecord) {
	last := len(rec.versions) - 1
	rec.lostVersions = append(rec.lostVersions, rec.versions[last])
	rec.versions, rec.sealedVersions, rec.changedAt = rec.versions[:last], rec.sealedVersions[:last], time.Now()
	rec.sealed, rec.expireAt = rec.sealedVersions[last-1], rec.versions[last-1].Deadline.Add(ticket.Tombstone)
}

func (r *modelRedis) attach(node string, id ticket.ID) ticket.Stored {
	rec := r.find(id)
	if rec == nil {
		return ticket.Stored{Now: r.now()}
	}
	if node != "" && !slices.Contains(rec.nodes, node) {
		rec.nodes = append(rec.nodes, node)
		if len(rec.nodes) > 4 {
			r.evicted(rec.nodes[0])
			rec.nodes = rec.nodes[1:]
		}
	}
	return ticket.Stored{Sealed: rec.sealed, Now: r.now()}
}

func (r *modelRedis) change(c ticket.Change) ticket.Outcome {
	rec, now := r.find(c.ID), r.now()
	if rec == nil {
		return ticket.Outcome{Stored: ticket.Stored{Now: now}}
	}
	tagged := len(c.BaseTag) > 0 && bytes.HasPrefix(rec.sealed, c.BaseTag)
	switch repeat := len(c.Sealed) == 0; {
	case bytes.Equal(rec.sealed, c.Sealed), repeat && tagged:
		rec.expireAt = c.ExpireAt
		return ticket.Outcome{Done: true, Stored: ticket.Stored{Now: now}}
	case repeat, !tagged,
		now.Before(c.NotBefore), !c.NotAfter.IsZero() && !now.Before(c.NotAfter):
		return ticket.Outcome{Stored: ticket.Stored{Sealed: rec.sealed, Now: now}}
	}
	rec.sealed, rec.expireAt = c.Sealed, c.ExpireAt
	r.record(rec, c.ID)
	for _, node := range rec.nodes {
		if node != c.ExcludeNode {
			r.publish(node, ticket.EncodeUpdate(c.ID, c.Sealed))
		}
	}
	return ticket.Outcome{Done: true, Stored: ticket.Stored{Now: now}}
}

// TestModel_StoreMatchesRedis makes the same random calls to the model's store and to the
// Lua scripts.
func TestModel_StoreMatchesRedis(t *testing.T) {
	keys := newNodeKeys(t)
	real, err := redisstore.Open(redisstore.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	var mu sync.Mutex
	var want, got = map[string][]string{}, map[string][]string{}
	model := modelRedis{records: map[ticket.ID]*modelRecord{}, open: keys.ring.Open, evicted: func(string) {},
		publish: func(node string, m []byte) { want[node] = append(want[node], string(m)) }}
	nodes := []string{"a", "b", "c", "d", "e", "f"}
	ctx, cancel := context.WithCancel(context.Background())
	var ears, ready sync.WaitGroup
	defer ears.Wait()
	defer cancel()
	for _, node := range nodes {
		ready.Add(1)
		ears.Go(func() {
			real.Listen(ctx, node, sync.OnceFunc(ready.Done), func(m []byte) {
				mu.Lock()
				defer mu.Unlock()
				got[node] = append(got[node], string(m))
			})
		})
	}
	ready.Wait()
	rng := rand.New(rand.NewPCG(20260301, 3))
	done, refused := 0, 0
	seals := map[string][]byte{}
	for i := range 3000 {
		id := ticket.ID(fmt.Sprintf("T%d%020d", i%2, i/60)) // a new pair every 60 calls
		version := func(n int) ticket.Ticket {
			v := ticket.New(id, ticket.Request{Client: &client.Client{ID: "demo"}}, keys.ring.Current(), time.Unix(2e9, 0), time.Hour)
			v.Seq += int64(n)
			return v
		}
		seal := func(n int) []byte {
			at := fmt.Sprint(id, n)
			if seals[at] == nil {
				var err error
				if seals[at], err = keys.ring.Seal(version(n)); err != nil {
					t.Fatal(err)
				}
			}
			return seals[at]
		}
		now := time.Now()
		switch rng.IntN(6) {
		case 0:
			deadline := now.Add(time.Hour + time.Duration(rng.IntN(3)-1)*10*time.Second)
			sealed := seal(rng.IntN(2))
			a, aErr := model.create(id, sealed, deadline, time.Hour)
			b, bErr := real.Create(ctx, id, sealed, deadline, time.Hour)
			if a != b || (aErr == nil) != (bErr == nil) {
				t.Fatalf("make %d: %v %v, Redis %v %v", i, a, aErr, b, bErr)
			}
		case 1, 2:
			node := append(nodes, "")[rng.IntN(len(nodes)+1)]
			a := model.attach(node, id)
			b, err := real.Attach(ctx, node, id)
			if err != nil || string(a.Sealed) != string(b[0].Sealed) {
				t.Fatalf("attach %d: %q, Redis %q %v", i, a.Sealed, b[0].Sealed, err)
			}
		default:
			c := ticket.Change{ID: id, Sealed: seal(rng.IntN(4)), ExpireAt: now.Add(time.Hour), ExcludeNode: append(nodes, "")[rng.IntN(len(nodes)+1)]}
			if rng.IntN(10) > 0 {
				was := seal(rng.IntN(4))
				if rec := model.find(id); rec != nil && rng.IntN(2) == 0 {
					was = rec.sealed
				}
				v, err := keys.ring.Open(id, was)
				if err != nil {
					t.Fatal(err)
				}
				c.BaseTag = v.Tag()
			}
			c.NotBefore = []time.Time{{}, {}, now.Add(-time.Hour), now.Add(time.Hour)}[rng.IntN(4)]
			c.NotAfter = []time.Time{{}, {}, now.Add(time.Hour), now.Add(-time.Hour)}[rng.IntN(4)]
			if rng.IntN(8) == 0 {
				c.Sealed = nil
			}
			if rng.IntN(20) == 0 {
				c.ExpireAt = now.Add(-time.Hour)
			}
			a := model.change(c)
			b, err := real.Change(ctx, c)
			if err != nil || a.Done != b[0].Done || string(a.Sealed) != string(b[0].Sealed) {
				t.Fatalf("change %d: %v %q, Redis %v %q %v", i, a.Done, a.Sealed, b[0].Done, b[0].Sealed, err)
			}
			if a.Done {
				done++
			} else {
				refused++
			}
		}
	}
	if done < 300 || refused < 300 || len(want) != len(nodes) {
		t.Errorf("%d changes done, %d refused, %d nodes notified: too few to compare", done, refused, len(want))
	}
	hubtest.Eventually(t, 10*time.Second, "the same messages to the same nodes", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return reflect.DeepEqual(want, got)
	})
}
