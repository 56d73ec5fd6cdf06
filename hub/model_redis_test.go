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
// Lua scripts, in the embedded Redis and in redis-server.
func TestModel_StoreMatchesRedis(t *testing.T) {
	for name, url := range map[string]string{"embedded": redisstore.Embedded, "redis-server": hubtest.StartRedis(t).URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, err := redisstore.Open(url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			compareStores(t, store)
		})
	}
}

// storePair is the model's store and a real one, which gets the same calls.
type storePair struct {
	t             *testing.T
	model         modelRedis
	real          *redisstore.Store
	rng           *rand.Rand
	done, refused int // changes
}

// pairNodes are the nodes of a storePair; "" is none.
var pairNodes = []string{"a", "b", "c", "d", "e", "f", ""}

func compareStores(t *testing.T, real *redisstore.Store) {
	var mu sync.Mutex // guards got
	want, got := map[string][]string{}, map[string][]string{}
	p := &storePair{t: t, real: real, rng: rand.New(rand.NewPCG(20260301, 3))}
	p.model = modelRedis{records: map[ticket.ID]*modelRecord{}, evicted: func(string) {},
		open:    func(ticket.ID, []byte) (ticket.Ticket, error) { return ticket.Ticket{}, nil },
		publish: func(node string, m []byte) { want[node] = append(want[node], string(m)) }}
	ctx, cancel := context.WithCancel(context.Background())
	var listening, ready sync.WaitGroup
	defer listening.Wait()
	defer cancel()
	for _, node := range pairNodes[:6] {
		ready.Add(1)
		listening.Go(func() {
			real.Listen(ctx, node, sync.OnceFunc(ready.Done), func(m []byte) {
				mu.Lock()
				defer mu.Unlock()
				got[node] = append(got[node], string(m))
			})
		})
	}
	ready.Wait()
	for i := range 3000 {
		id := ticket.ID(fmt.Sprintf("T%d%020d", i%2, i/60)) // a new pair every 60 calls
		switch p.rng.IntN(6) {
		case 0:
			p.create(id)
		case 1, 2:
			p.attach(id)
		default:
			p.change(id)
		}
	}
	if p.done < 300 || p.refused < 300 || len(want) != 6 {
		t.Errorf("%d changes done, %d refused, %d nodes notified: too few to compare", p.done, p.refused, len(want))
	}
	hubtest.Eventually(t, 10*time.Second, "the same messages to the same nodes", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return reflect.DeepEqual(want, got)
	})
}

// sealed returns the bytes of one of n versions.
func (p *storePair) sealed(n int) []byte {
	return fmt.Appendf(nil, `1.kid.%d.{"seq":1}`, p.rng.IntN(n))
}

func (p *storePair) node() string { return pairNodes[p.rng.IntN(len(pairNodes))] }

func (p *storePair) create(id ticket.ID) {
	deadline, sealed := time.Now().Add(time.Hour+time.Duration(p.rng.IntN(3)-1)*10*time.Second), p.sealed(2)
	a, aErr := p.model.create(id, sealed, deadline, time.Hour)
	b, bErr := p.real.Create(context.Background(), id, sealed, deadline, time.Hour)
	if a != b || (aErr == nil) != (bErr == nil) {
		p.t.Fatalf("create: %v %v, Redis %v %v", a, aErr, b, bErr)
	}
}

func (p *storePair) attach(id ticket.ID) {
	node := p.node()
	a := p.model.attach(node, id)
	b, err := p.real.Attach(context.Background(), node, id)
	if err != nil || string(a.Sealed) != string(b[0].Sealed) {
		p.t.Fatalf("attach %q: %q, Redis %q %v", node, a.Sealed, b[0].Sealed, err)
	}
}

func (p *storePair) change(id ticket.ID) {
	now := time.Now()
	past, future := now.Add(-time.Hour), now.Add(time.Hour)
	c := ticket.Change{ID: id, Sealed: p.sealed(4), ExpireAt: future, ExcludeNode: p.node(),
		NotBefore: []time.Time{{}, {}, past, future}[p.rng.IntN(4)], NotAfter: []time.Time{{}, {}, future, past}[p.rng.IntN(4)]}
	was := p.sealed(4)
	if rec := p.model.find(id); rec != nil && p.rng.IntN(2) == 0 {
		was = rec.sealed
	}
	if p.rng.IntN(10) > 0 {
		c.BaseTag = was[:bytes.IndexByte(was, '{')]
	}
	if p.rng.IntN(8) == 0 {
		c.Sealed = nil
	}
	if p.rng.IntN(20) == 0 {
		c.ExpireAt = past
	}
	a := p.model.change(c)
	b, err := p.real.Change(context.Background(), c)
	if err != nil || a.Done != b[0].Done || string(a.Sealed) != string(b[0].Sealed) {
		p.t.Fatalf("change %+v: %v %q, Redis %v %q %v", c, a.Done, a.Sealed, b[0].Done, b[0].Sealed, err)
	}
	if a.Done {
		p.done++
	} else {
		p.refused++
	}
}
