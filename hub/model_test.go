package hub_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// The model: real nodes, whose every call of Redis and every message lies on its
// way until a step says what becomes of it; the steps are drawn at random, by a
// seed. When the faults are over, what was promised must come (modelWorld.judge).
// A walk that fails is cut down to the steps that it needs.
var (
	modelSeed = flag.Uint64("model.seed", 0, "make only the walk of this seed, and print its steps")
	modelKeep = flag.String("model.keep", "", "of that walk keep only these steps: 1,4,7")
)

// modelWalks is how many walks are made where MODEL_WALKS does not say so.
const modelWalks = 400

func TestTheModelDeliversTheTokenInEveryWalk(t *testing.T) {
	r := modelRun{keys: newModelKeys(t), nodes: 3, tickets: 2}
	if *modelSeed != 0 {
		modelAgain(t, r)
		return
	}
	walks := modelLength(t)
	const groups = 4
	var all modelTally
	t.Run("walks", func(t *testing.T) {
		for group := range uint64(groups) {
			t.Run(fmt.Sprint("group ", group), func(t *testing.T) {
				t.Parallel()
				for seed := 1 + group; seed <= walks; seed += groups {
					steps, err := r.random(t, seed, &all)
					if err != nil {
						t.Fatalf("%v\n%s", err, r.report(t, seed, steps))
					}
				}
			})
		}
	})
	t.Logf("%d walks: %v", walks, all.seen)
	for what, n := range all.seen {
		if uint64(n) < walks/100 {
			t.Errorf("the walks have hardly seen %q: %v", what, all.seen)
		}
	}
}

// modelLength is how many walks are wanted.
func modelLength(t *testing.T) uint64 {
	text := os.Getenv("MODEL_WALKS")
	if text == "" {
		return modelWalks
	}
	walks, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("MODEL_WALKS must be a number: %v", err)
	}
	return walks
}

// report is a failed walk, cut down, and how to have it again.
func (r modelRun) report(t *testing.T, seed uint64, steps []step) string {
	kept := r.shrink(t, steps)
	var keep []string
	for i := range kept {
		keep = append(keep, strconv.Itoa(kept[i].number))
	}
	return fmt.Sprintf("again: -model.seed=%d -model.keep=%s%s", seed, strings.Join(keep, ","), describe(kept))
}

// modelAgain makes one walk again.
func modelAgain(t *testing.T, r modelRun) {
	steps, err := r.random(t, *modelSeed, nil)
	if *modelKeep != "" {
		var kept []step
		for _, text := range strings.Split(*modelKeep, ",") {
			i, bad := strconv.Atoi(text)
			if bad != nil || i < 1 || i > len(steps) {
				t.Fatalf("-model.keep: the walk has no step %q", text)
			}
			kept = append(kept, steps[i-1])
		}
		steps, err = kept, r.replay(t, kept)
	}
	t.Log(describe(steps))
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheModelNoticesABreakOfTheProtocol(t *testing.T) {
	keys := newModelKeys(t)
	for _, b := range []struct {
		bent  bend
		what  string
		steps int // at the most, once cut down
	}{
		{lies, "a confirm is answered as done though the store never got it", 3},
		{noResync, "a new subscription does not ask for the waiting tickets", 9},
		{noNotes, "attaching does not note the node", 7},
		{noSweep, "nobody looks at the waiting tickets again", 9},
	} {
		t.Run(b.what, func(t *testing.T) {
			t.Parallel()
			r := modelRun{keys: keys, nodes: 3, tickets: 2, bent: b.bent}
			for seed := uint64(1); seed <= modelWalks; seed++ {
				steps, err := r.random(t, seed, nil)
				if err == nil {
					continue
				}
				kept := r.shrink(t, steps)
				t.Logf("seed %d: %v; %d of %d steps:%s", seed, err, len(kept), len(steps), describe(kept))
				if len(kept) > b.steps {
					t.Errorf("%d steps are left; wanted %d at the most", len(kept), b.steps)
				}
				if (modelRun{keys: keys, nodes: 3, tickets: 2}).replay(t, kept) != nil {
					t.Error("these steps fail without the break too")
				}
				return
			}
			t.Error("no walk noticed it")
		})
	}
}

// TestTheModelDeliversTheTokenInEveryOrderOfAttachConfirmBreakAndDeath takes every
// interleaving of a page's attach (done by Redis, answered), a confirm (done by
// Redis, its message there or lost), a link that breaks (subscribed anew, asked
// for what was missed), and a node's death.
func TestTheModelDeliversTheTokenInEveryOrderOfAttachConfirmBreakAndDeath(t *testing.T) {
	r := modelRun{keys: newModelKeys(t), nodes: 2, tickets: 1}
	begin := []step{{verb: confirms, node: 1, what: "alice"}, {verb: serves, what: "n1 look alice t0"}}
	attach := []step{{verb: holds, what: "n0 attach page t0"}, {verb: answers, what: "n0 attach page t0"}}
	change := step{verb: serves, what: "n1 change t0 confirmed"}
	link := []step{{verb: breaks, node: 0}, {verb: passes}, {verb: serves, what: "n0 sweep t0"}}
	death := []step{{verb: dies, node: 0}}
	for _, each := range []struct {
		name    string
		line    verb
		confirm []step
		orders  int
		long    bool // only in the long form
	}{
		{"a socket", connects, []step{change, {verb: delivers, what: "mail n0 t0 #2"}}, 1680, false}, // 8! / (2! 2! 3! 1!)
		{"a poll", polls, []step{change, {verb: delivers, what: "mail n0 t0 #2"}}, 1680, true},
		{"a socket, the message lost", connects, []step{change}, 420, false}, // 7! / (2! 1! 3! 1!)
		{"a poll, the message lost", polls, []step{change}, 420, false},
	} {
		if each.long && modelLength(t) <= modelWalks {
			continue
		}
		t.Run(each.name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]bool{}
			interleave(nil, [][]step{attach, each.confirm, link, death}, func(order []step) {
				steps := append(slices.Clone(begin), step{verb: each.line})
				steps = append(steps, order...)
				seen[describe(steps)] = true
				if err := r.replay(t, steps); err != nil && !t.Failed() {
					t.Errorf("%v%s", err, describe(r.shrink(t, steps)))
				}
			})
			if len(seen) != each.orders {
				t.Errorf("%d orders; there are %d", len(seen), each.orders)
			}
		})
	}
}

// TestTheModelsStoreAnswersAsRedisDoes makes the same calls, drawn at random, of
// the model's store and of the Lua scripts.
func TestTheModelsStoreAnswersAsRedisDoes(t *testing.T) {
	keys := newModelKeys(t)
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
	for i := range 3000 {
		id := ticket.ID(fmt.Sprintf("T%d%020d", i%2, i/60)) // a new pair every 60 calls
		version := func(n int) ticket.Ticket {
			v := ticket.New(id, ticket.Request{Client: &ticket.Client{ID: "demo"}}, keys.ring.Current(), time.Unix(2e9, 0), time.Hour)
			v.Seq += int64(n)
			return v
		}
		seal := func(n int) []byte {
			sealed, err := keys.ring.Seal(version(n))
			if err != nil {
				t.Fatal(err)
			}
			return sealed
		}
		now := time.Now()
		switch rng.IntN(6) {
		case 0:
			deadline := now.Add(time.Hour + time.Duration(rng.IntN(3)-1)*10*time.Second)
			sealed := seal(rng.IntN(2))
			a, aErr := model.make(id, sealed, deadline, time.Hour)
			b, bErr := real.Make(ctx, id, sealed, deadline, time.Hour)
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
			c := ticket.Change{ID: id, Sealed: seal(rng.IntN(4)), Forget: now.Add(time.Hour), Skip: append(nodes, "")[rng.IntN(len(nodes)+1)]}
			if rng.IntN(10) > 0 {
				was := seal(rng.IntN(4))
				if rec := model.at(id); rec != nil && rng.IntN(2) == 0 {
					was = rec.sealed
				}
				v, err := keys.ring.Open(id, was)
				if err != nil {
					t.Fatal(err)
				}
				c.Was = v.Tag()
			}
			c.From = []time.Time{{}, {}, now.Add(-time.Hour), now.Add(time.Hour)}[rng.IntN(4)]
			c.Until = []time.Time{{}, {}, now.Add(time.Hour), now.Add(-time.Hour)}[rng.IntN(4)]
			if rng.IntN(20) == 0 {
				c.Forget = now.Add(-time.Hour)
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
		t.Errorf("%d changes done, %d refused, %d nodes told: too few to compare", done, refused, len(want))
	}
	hubtest.Eventually(t, 10*time.Second, "the same messages to the same nodes", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return reflect.DeepEqual(want, got)
	})
}

// interleave gives every order of the steps that keeps each list's own.
func interleave(sofar []step, lists [][]step, each func([]step)) {
	over := true
	for i, list := range lists {
		if len(list) == 0 {
			continue
		}
		over = false
		rest := slices.Clone(lists)
		rest[i] = list[1:]
		interleave(append(slices.Clone(sofar), list[0]), rest, each)
	}
	if over {
		each(sofar)
	}
}
