package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Maximum times from the end of the faults to the token. modelSweep: only the sweep,
// every 20 s, can find the change. modelSoon: a missing probe (2 s and the resync), a
// reconnecting browser (2 s) and a failed sweep (2 s). modelHealthy: without faults, a
// browser that is between two connections.
const (
	modelSweep   = 24 * time.Second
	modelSoon    = 7 * time.Second
	modelHealthy = 2500 * time.Millisecond
)

// check ends the faults, lets time pass, and returns the first promise that was not
// kept. A muted subscription stays muted: the node has to notice it.
func (w *modelState) check(rng *rand.Rand, late bool) error {
	w.net.finishAll(rng)
	for i := range w.nodes {
		w.nodeAt(i).setCutOff(false)
		w.restart(i)
	}
	synctest.Wait()
	for _, p := range w.browsers {
		p.setDropAck(true)
		w.wg.Go(p.keepConnected)
	}
	w.healed = time.Now()
	for waits := true; waits && time.Since(w.healed) < 3*modelTTL && w.failure() == nil; {
		waits = false
		for i, p := range w.browsers {
			waits = waits || p.endState() == ""
			if late && time.Since(w.healed) > modelSweep {
				w.confirmLate(i)
			}
		}
		time.Sleep(quantum) // fake clock
		for i := range w.nodes {
			w.restart(i)
		}
		synctest.Wait()
	}
	for i, p := range w.browsers {
		if err := w.verdict(i, p); err != nil && w.failure() == nil {
			return fmt.Errorf("browser %s: %w", modelName(p.id), err)
		}
	}
	return w.failure()
}

func (w *modelState) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.firstError
}

// confirmLate confirms a ticket that is still open.
func (w *modelState) confirmLate(i int) {
	all := w.net.versions(w.browsers[i].id)
	last := all[len(all)-1]
	if !w.confirmedLate[i].IsZero() || last.State != ticket.Pending && last.State != ticket.Scanned || last.Overdue(time.Now()) {
		return
	}
	w.confirmedLate[i] = time.Now()
	user := last.Identity.Subject
	if user == "" {
		user = "alice"
	}
	nodes := w.serving()
	w.phone(nodes[i%len(nodes)], last.ID, user, ticket.Confirm)
}

// verdict checks what must hold at the end. modelBrowser.check and modelState.phone check
// every view and answer before.
func (w *modelState) verdict(i int, p *modelBrowser) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	rec, answered := w.net.redis.records[p.id], w.confirmedTo[i]
	last, fell := rec.versions[len(rec.versions)-1], len(rec.lostVersions) > 0
	confirmed := slices.ContainsFunc(rec.versions, func(v ticket.Ticket) bool { return v.State == ticket.Confirmed })
	from, patience := w.healed, modelSoon
	if late := w.confirmedLate[i]; !late.IsZero() {
		from, patience = late, modelHealthy
	}
	if !w.net.silentLoss.IsZero() && (from == w.healed || !w.net.silentLoss.Before(from)) {
		patience = modelSweep
	}
	for i, v := range rec.versions[1:] {
		was := rec.versions[i]
		if v.Seq != was.Seq+1 || was.Identity.Subject != "" && !v.Identity.Same(was.Identity) || was.State.Final() {
			return fmt.Errorf("%s of %q follows %s of %q", v.State, v.Identity.Subject, was.State, was.Identity.Subject)
		}
	}
	switch {
	case p.end == "":
		return fmt.Errorf("it still waits; it is %s", last.State)
	case fell && p.token != "" && !w.hasToken(rec.versions, p.token):
		return nil // its confirm was lost before any phone got an answer, and its ack matches no version
	case fell && !confirmed && len(answered) == 0 && (p.token != "" || p.end == ticket.Expired && last.Overdue(time.Now())):
		return nil
	case last.State != p.end:
		return fmt.Errorf("it ends as %s, and is %s", p.end, last.State)
	case !confirmed && len(answered) > 0:
		return fmt.Errorf("%s got confirmed, and that was lost", answered)
	case confirmed && p.token == "":
		return fmt.Errorf("confirmed, and it never got its token; answered: %s", answered)
	case confirmed && p.tokenAt.Sub(from) > patience:
		return fmt.Errorf("it got its token after %v; answered: %s", p.tokenAt.Sub(from), answered)
	case confirmed && p.end != ticket.Consumed:
		return fmt.Errorf("it acknowledged, and ends as %s", p.end)
	case confirmed && min(p.endAt.Sub(from), p.endAt.Sub(p.tokenAt)) > patience, !confirmed && p.endAt.Sub(rec.changedAt) > patience && p.endAt.Sub(from) > patience:
		return fmt.Errorf("it got %s after %v", p.end, p.endAt.Sub(from))
	}
	return nil
}

// hasToken reports whether the token belongs to one of the versions.
func (w *modelState) hasToken(all []ticket.Ticket, token string) bool {
	return slices.ContainsFunc(all, func(v ticket.Ticket) bool {
		want, err := w.signer.SignLogin(v.Key, v.SignKey, v.Claims)
		return v.State == ticket.Confirmed && err == nil && token == want
	})
}

// phone makes a user's call on a node and checks its answer.
func (w *modelState) phone(n *modelNode, id ticket.ID, user string, a ticket.Action) {
	before, _ := w.net.allVersions(id)
	failures := n.failures()
	by := sandboxUser(user)
	ctx := context.WithValue(w.ctx, callerKey{}, user)
	_, err := runCall(ctx, n.Hub, testCall{hub.PhoneCall{Action: a, Ticket: id}, user}, w.client)
	if n.dead() || w.ctx.Err() != nil {
		return // the phone got no answer
	}
	all, fell := w.net.allVersions(id)
	if err == nil {
		state := map[ticket.Action]ticket.State{ticket.Scan: ticket.Scanned, ticket.Confirm: ticket.Confirmed, ticket.Reject: ticket.Rejected}[a]
		for _, v := range all {
			if v.State == state && v.Identity.Same(by) {
				if a == ticket.Confirm {
					w.mu.Lock()
					w.confirmedTo[w.index(id)] = append(w.confirmedTo[w.index(id)], user)
					w.mu.Unlock()
				}
				return
			}
		}
		w.fail(fmt.Errorf("%s got %s for %s, and that was never stored", user, state, modelName(id)))
		return
	}
	if errors.Is(err, ticket.ErrStoreUnavailable) && n.failures() > failures {
		return
	}
	if !fell { // versions since the start of the call
		all = all[len(before)-1:]
	}
	for _, v := range all {
		if errors.Is(err, validTransition(v, a, by)) {
			return
		}
	}
	w.fail(fmt.Errorf("%s got %q for %s, and no rule gives that", user, err, modelName(id)))
}

// validTransition returns the result of an action on a version by the rules of hub/ticket.
func validTransition(v ticket.Ticket, a ticket.Action, by provider.Identity) (err error) {
	switch a {
	case ticket.Scan:
		_, err = v.Scan(by, ticket.User{}, time.Now(), modelTTL)
	case ticket.Confirm:
		c := ticket.Confirmation{Identity: by, Now: time.Now(), ResultTTL: modelResult, Token: ticket.TokenParams{Client: &client.Client{ID: "demo"}, TTL: modelResult}}
		_, err = v.Confirm(c)
	case ticket.Reject:
		_, err = v.Reject(by)
	}
	return err
}

func (w *modelState) index(id ticket.ID) int { return int(id[1] - '0') }

// modelStats counts what happened in the traces.
type modelStats struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *modelStats) add(w *modelState) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	for i, p := range w.browsers {
		for what, so := range map[string]bool{
			"delivered by socket": p.token != "" && !p.polled, "delivered by poll": p.token != "" && p.polled,
			"answered, then delivered": p.token != "" && len(w.confirmedTo[i]) > 0, "never answered, and delivered": p.token != "" && len(w.confirmedTo[i]) == 0,
			"consumed": p.end == ticket.Consumed, "rolled back": w.net.rolledBack(p.id), "expired": p.end == ticket.Expired, "rejected": p.end == ticket.Rejected,
			"confirmed late": !w.confirmedLate[i].IsZero(), "silent loss": !w.net.silentLoss.IsZero(), "within the short limit": p.token != "" && w.net.silentLoss.IsZero() && w.confirmedLate[i].IsZero() && p.tokenAt.After(w.healed),
		} {
			c.seen[what] += 0
			if so {
				c.seen[what]++
			}
		}
	}
}
