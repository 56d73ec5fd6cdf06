package hub_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The model: real nodes, whose every call of Redis and every message lies on its
// way until a step says what becomes of it; the steps are drawn at random, by a
// seed. When the faults are over, what was promised must come (modelWorld.judge).
// A walk that fails is cut down to the steps that it needs.
var (
	modelSeed  = flag.Uint64("model.seed", 0, "make only the walk of this seed, and print its steps")
	modelSteps = flag.String("model.keep", "", "of that walk keep only these steps: 1,4,7")
)

// defaultTraces is how many walks are made where MODEL_WALKS does not say so.
const defaultTraces = 400

func TestModel_RandomTraces(t *testing.T) {
	r := modelRun{keys: newNodeKeys(t), nodes: 3, tickets: 2, confirmLate: true}
	if *modelSeed != 0 {
		repeatTrace(t, r)
		return
	}
	walks := traceCount(t)
	const groups = 4
	var all modelStats
	t.Run("walks", func(t *testing.T) {
		for group := range uint64(groups) {
			t.Run(fmt.Sprint("group ", group), func(t *testing.T) {
				t.Parallel()
				for seed := 1 + group; seed <= walks; seed += groups {
					r := r
					r.seed, r.confirmLate = seed, seed%4 > 0
					steps, err := r.random(t, &all)
					if err != nil {
						t.Fatalf("%v\n%s", err, r.report(t, steps))
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

// traceCount is how many walks are wanted.
func traceCount(t *testing.T) uint64 {
	text := os.Getenv("MODEL_WALKS")
	if text == "" {
		return defaultTraces
	}
	walks, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("MODEL_WALKS must be a number: %v", err)
	}
	return walks
}

// report is a failed walk, cut down, and how to have it again.
func (r modelRun) report(t *testing.T, steps []step) string {
	kept := r.shrink(t, steps)
	var keep []string
	for i := range kept {
		keep = append(keep, strconv.Itoa(kept[i].number))
	}
	return fmt.Sprintf("again: -model.seed=%d -model.keep=%s%s", r.seed, strings.Join(keep, ","), describe(kept))
}

// repeatTrace makes one walk again.
func repeatTrace(t *testing.T, r modelRun) {
	r.seed, r.confirmLate = *modelSeed, *modelSeed%4 > 0
	steps, err := r.random(t, nil)
	if *modelSteps != "" {
		var kept []step
		for _, text := range strings.Split(*modelSteps, ",") {
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

func TestModel_DetectsMutations(t *testing.T) {
	keys := newNodeKeys(t)
	for _, b := range []struct {
		bent  mutation
		what  string
		steps int // at the most, once cut down
	}{
		{fakeConfirm, "a confirm is answered as done though the store never got it", 3},
		{noResync, "a new subscription does not ask for the waiting tickets", 9},
		{noAttachNode, "attaching does not note the node", 7},
		{noSweep, "nobody looks at the waiting tickets again", 20},
	} {
		t.Run(b.what, func(t *testing.T) {
			t.Parallel()
			r := modelRun{keys: keys, nodes: 3, tickets: 2, mutation: b.bent}
			for seed := uint64(1); seed <= defaultTraces; seed++ {
				r.seed = seed
				steps, err := r.random(t, nil)
				if err == nil {
					continue
				}
				kept := r.shrink(t, steps)
				t.Logf("seed %d: %v; %d of %d steps:%s", seed, err, len(kept), len(steps), describe(kept))
				if len(kept) > b.steps {
					t.Errorf("%d steps are left; wanted %d at the most", len(kept), b.steps)
				}
				if (modelRun{keys: keys, seed: seed, nodes: 3, tickets: 2}).replay(t, kept) != nil {
					t.Error("these steps fail without the break too")
				}
				return
			}
			t.Error("no walk noticed it")
		})
	}
}

// TestModel_AllOrders takes every
// interleaving of a page's attach (done by Redis, answered), a confirm (done by
// Redis, its message there or lost), a link that breaks (subscribed anew, asked
// for what was missed), and a node's death.
func TestModel_AllOrders(t *testing.T) {
	r := modelRun{keys: newNodeKeys(t), nodes: 2, tickets: 1}
	look := []step{{op: confirms, node: 1, label: "alice"}, {op: completes, label: "n1 look alice t0"}}
	socket := append(slices.Clone(look), step{op: connects})
	// A first poll is answered at once; what matters is the second, which waits.
	poll := append(slices.Clone(look), step{op: polls}, step{op: completes, label: "n0 attach page t0"})
	attach := []step{{op: executes, label: "n0 attach page t0"}, {op: replies, label: "n0 attach page t0"}}
	message := "mail n0 t0 #2"
	change := step{op: completes, label: "n1 change t0 confirmed"}
	confirm := []step{change, {op: delivers, label: message}}
	link := []step{{op: unsubscribes}, {op: passes}, {op: completes, label: "n0 sweep t0"}}
	failed := []step{{op: unsubscribes}, {op: passes}, {op: fails, label: "n0 sweep t0"}}
	death, phones := []step{{op: crashes}}, []step{{op: crashes, node: 1}}
	// A scan that Redis loses, and a confirm in its place: both are version 2.
	scan := []step{{op: scans, node: 1, label: "alice"}, {op: completes, label: "n1 look alice t0"}}
	seen := append([]step{{op: connects}, {op: completes, label: "n0 attach page t0"}}, scan...)
	asks := append([]step{{op: polls}, {op: completes, label: "n0 attach page t0"}, {op: completes, label: "n0 attach page t0"}}, scan...)
	scanned, fall := []step{{op: completes, label: "n1 change t0 scanned"}, {op: delivers, label: message}}, []step{{op: rollsBack}}
	again := append(slices.Clone(look), confirm...)
	for _, each := range []struct {
		name   string
		begin  []step
		lists  [][]step
		end    []step
		orders int  // n! / (a! b! …)
		long   bool // only in the long form
	}{
		{"socket", socket, [][]step{attach, confirm, link}, nil, 210, false},
		{"poll", poll, [][]step{attach, confirm, link}, nil, 210, false},
		{"socket, resync fails", socket, [][]step{attach, confirm, failed}, nil, 210, false},
		{"socket, phone's node dies", socket, [][]step{attach, confirm, phones}, nil, 30, false},
		{"socket, scan lost", seen, [][]step{scanned, fall, again}, nil, 77, false}, // of 105: both deliver a version 2
		{"poll, scan lost", asks, [][]step{scanned, fall, again}, nil, 77, false},   // of 105: both deliver a version 2
		{"socket, node dies", socket, [][]step{attach, confirm, link, death}, nil, 1680, false},
		{"poll, node dies", poll, [][]step{attach, confirm, link, death}, nil, 1680, true},
		{"socket, message lost", socket, [][]step{attach, {change}, link, death}, []step{{op: drops, label: message}}, 420, true},
		{"poll, message lost", poll, [][]step{attach, {change}, link, death}, []step{{op: drops, label: message}}, 420, true},
	} {
		if each.long && traceCount(t) <= defaultTraces {
			continue
		}
		orders := map[string]bool{}
		var all [][]step
		interleave(nil, each.lists, func(order []step) {
			steps := slices.Concat(each.begin, order, each.end)
			orders[describe(steps)] = true
			all = append(all, steps)
		})
		if len(orders) != each.orders {
			t.Errorf("%s: %d orders; there are %d", each.name, len(orders), each.orders)
		}
		for half := range 2 {
			t.Run(each.name, func(t *testing.T) {
				t.Parallel()
				for i := half; i < len(all); i += 2 {
					if err := r.replay(t, all[i]); err != nil {
						t.Fatalf("%v%s", err, describe(r.shrink(t, all[i])))
					}
				}
			})
		}
	}
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
