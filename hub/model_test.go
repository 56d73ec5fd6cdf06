package hub_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// The model runs real nodes on a simulated network: each Redis call and each message is
// in transit until a step decides about it. A trace is a sequence of random steps from a
// seed. After the faults, everything promised must happen (modelState.check). A failing
// trace is reduced to the steps that it needs.
var (
	modelSeed  = flag.Uint64("model.seed", 0, "run only the trace of this seed, and print its steps")
	modelSteps = flag.String("model.keep", "", "of that trace run only these steps: 1,4,7")
)

// defaultTraces is the number of traces if MODEL_TRACES is not set.
const defaultTraces = 400

func TestModel_RandomTraces(t *testing.T) {
	r := modelRun{keys: newNodeKeys(t), nodes: 3, tickets: 2, confirmLate: true}
	if *modelSeed != 0 {
		repeatTrace(t, r)
		return
	}
	traces := traceCount(t)
	var steps atomic.Int64
	const groups = 4
	var all modelStats
	t.Run("traces", func(t *testing.T) {
		for group := range uint64(groups) {
			t.Run(fmt.Sprint("group ", group), func(t *testing.T) {
				t.Parallel()
				for seed := 1 + group; seed <= traces; seed += groups {
					r := r
					r.seed, r.confirmLate = seed, seed%4 > 0
					trace, err := r.random(t, &all)
					steps.Add(int64(len(trace)))
					if err != nil {
						t.Fatalf("%v\n%s", err, r.report(t, trace))
					}
				}
			})
		}
	})
	t.Logf("seeds 1 to %d, %d steps: %v", traces, steps.Load(), all.seen)
	for what, n := range all.seen {
		if uint64(n) < traces/100 {
			t.Errorf("too few traces reach %q: %v", what, all.seen)
		}
	}
}

// traceCount returns the number of traces to run.
func traceCount(t *testing.T) uint64 {
	text := os.Getenv("MODEL_TRACES")
	if text == "" {
		return defaultTraces
	}
	traces, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("MODEL_TRACES must be a number: %v", err)
	}
	return traces
}

// report describes a failed trace, reduced, and the flags that repeat it.
func (r modelRun) report(t *testing.T, steps []step) string {
	kept := r.shrink(t, steps)
	var keep []string
	for i := range kept {
		keep = append(keep, strconv.Itoa(kept[i].number))
	}
	return fmt.Sprintf("again: -model.seed=%d -model.keep=%s%s", r.seed, strings.Join(keep, ","), describe(kept))
}

// repeatTrace runs one trace again.
func repeatTrace(t *testing.T, r modelRun) {
	r.seed, r.confirmLate = *modelSeed, *modelSeed%4 > 0
	steps, err := r.random(t, nil)
	if *modelSteps != "" {
		var kept []step
		for _, text := range strings.Split(*modelSteps, ",") {
			i, bad := strconv.Atoi(text)
			if bad != nil || i < 1 || i > len(steps) {
				t.Fatalf("-model.keep: the trace has no step %q", text)
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
		steps int // maximum after the reduction
	}{
		{fakeConfirm, "a confirm is answered but never stored", 3},
		{noResync, "a new subscription does not resync", 40},
		{noAttachNode, "an attach does not record the node", 7},
		{noSweep, "no sweep reads the waiting tickets", 20},
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
					t.Errorf("%d steps are left; wanted at most %d", len(kept), b.steps)
				}
				if (modelRun{keys: keys, seed: seed, nodes: 3, tickets: 2}).replay(t, kept) != nil {
					t.Error("these steps fail without the mutation too")
				}
				return
			}
			t.Error("no trace found it")
		})
	}
}

// TestModel_AllOrders runs every interleaving of an attach (executed, answered), a confirm
// (executed, its message delivered or lost), a lost subscription (resubscribed, resynced)
// and a node's crash.
func TestModel_AllOrders(t *testing.T) {
	r := modelRun{keys: newNodeKeys(t), nodes: 2, tickets: 1}
	read := []step{{op: confirms, node: 1, label: "alice"}, {op: completes, label: "n1 read alice t0"}}
	socket := append(slices.Clone(read), step{op: connects})
	own := []step{{op: confirms, label: "alice"}, {op: completes, label: "n0 read alice t0"}, {op: connects}}
	// The first poll is answered at once; the second one waits.
	poll := append(slices.Clone(read), step{op: polls}, step{op: completes, label: "n0 attach browser t0"})
	attach := []step{{op: executes, label: "n0 attach browser t0"}, {op: replies, label: "n0 attach browser t0"}}
	message := "message n0 t0 #2"
	change := step{op: completes, label: "n1 change t0 confirmed"}
	confirm, lost := []step{change, {op: delivers, label: message}}, []step{change, {op: drops, label: message}}
	link := []step{{op: unsubscribes}, {op: passes}, {op: completes, label: "n0 sweep t0"}}
	failed := []step{{op: unsubscribes}, {op: passes}, {op: fails, label: "n0 sweep t0"}}
	death, phones := []step{{op: crashes}}, []step{{op: crashes, node: 1}}
	// Redis loses a scan, and a confirm follows: both are version 2.
	scan := []step{{op: scans, node: 1, label: "alice"}, {op: completes, label: "n1 read alice t0"}}
	seen := append([]step{{op: connects}, {op: completes, label: "n0 attach browser t0"}}, scan...)
	asks := append([]step{{op: polls}, {op: completes, label: "n0 attach browser t0"}, {op: completes, label: "n0 attach browser t0"}}, scan...)
	scanned, fall := []step{{op: completes, label: "n1 change t0 scanned"}, {op: delivers, label: message}}, []step{{op: rollsBack}}
	again := append(slices.Clone(read), confirm...)
	for _, each := range []struct {
		name   string
		begin  []step
		lists  [][]step
		orders int  // n! / (a! b! …)
		long   bool // only in the long run
	}{
		{"socket", socket, [][]step{attach, confirm, link}, 210, false},
		{"poll", poll, [][]step{attach, confirm, link}, 210, false},
		{"socket, resync fails", socket, [][]step{attach, confirm, failed}, 210, false},
		{"socket, phone's node dies", socket, [][]step{attach, confirm, phones}, 30, false},
		{"socket, reply of the node's own change lost", own, [][]step{attach, {{op: losesReply, label: "n0 change t0 confirmed"}}}, 3, false},
		{"socket, scan lost", seen, [][]step{scanned, fall, again}, 77, false}, // of 105: both deliver a version 2
		{"poll, scan lost", asks, [][]step{scanned, fall, again}, 77, false},   // of 105: both deliver a version 2
		{"socket, node dies", socket, [][]step{attach, confirm, link, death}, 1680, false},
		{"poll, node dies", poll, [][]step{attach, confirm, link, death}, 1680, true},
		{"socket, message lost", socket, [][]step{attach, lost, link, death}, 1680, true},
		{"poll, message lost", poll, [][]step{attach, lost, link, death}, 1680, true},
	} {
		if each.long && traceCount(t) <= defaultTraces {
			continue
		}
		orders := map[string]bool{}
		var all [][]step
		interleave(nil, each.lists, func(order []step) {
			steps := slices.Concat(each.begin, order)
			orders[describe(steps)] = true
			all = append(all, steps)
		})
		if len(orders) != each.orders {
			t.Errorf("%s: %d orders; there are %d", each.name, len(orders), each.orders)
		}
		t.Run(each.name, func(t *testing.T) { r.replayAll(t, all) })
	}
}

// replayAll replays the orders. Each step that names a call or message must match one in
// some order: otherwise a changed label would make the test pass without it.
func (r modelRun) replayAll(t *testing.T, orders [][]step) {
	var matched sync.Map
	r.matched = func(s step) { matched.Store(s, true) }
	t.Run("orders", func(t *testing.T) {
		for half := range 2 {
			t.Run(fmt.Sprint(half), func(t *testing.T) {
				t.Parallel()
				for i := half; i < len(orders); i += 2 {
					if err := r.replay(t, orders[i]); err != nil {
						t.Fatalf("%v%s", err, describe(r.shrink(t, orders[i])))
					}
				}
			})
		}
	})
	for _, s := range orders[0] { // every order has the same steps
		if _, ok := matched.Load(s); !ok {
			t.Errorf("the step %q matches in no order", s)
		}
	}
}

// interleave calls each with every order of the steps that keeps the order of each list.
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
