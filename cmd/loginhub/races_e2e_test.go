package main_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestRace_FiftyPhones(t *testing.T) {
	t.Parallel()
	_, nodes := cluster(t, 3)
	const phones = 50
	for round := range 30 {
		ctx := testContext(t, 20*time.Second)
		p := mustOpenWaiter(t, ctx, nodes[round%3].URL, nodes[(round+1)%3].URL)
		actions := []string{"scan", "confirm"}
		if round%3 == 2 {
			actions = []string{"confirm"} // without a separate scan
		}
		var mu sync.Mutex
		var winners []string
		start := make(chan struct{})
		var all sync.WaitGroup
		for i := range phones {
			all.Go(func() {
				phone := hubtest.NewPhone(fmt.Sprintf("user-%d", i))
				<-start
				won := 0
				for j, action := range actions {
					a, err := phone.Do(ctx, nodes[(i+j)%3].URL, p.ID, action, nil)
					switch {
					case err != nil:
						t.Errorf("%s: %v", action, err)
					case a.Status == 200:
						won++
					case a.Status != 409 || a.Code != "already_scanned" && a.Code != "ticket_closed":
						t.Errorf("%s: %d %s", action, a.Status, a.Body)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				switch won {
				case len(actions):
					winners = append(winners, phone.Name)
				case 0:
				default:
					t.Errorf("%s won %d of %v", phone.Name, won, actions)
				}
			})
		}
		close(start)
		all.Wait()
		if len(winners) != 1 {
			t.Fatalf("round %d: winners %v", round, winners)
		}
		v, err := p.waitToken(ctx, nodes[0].URL, "sandbox:"+winners[0])
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if want := int64(len(actions) + 1); v.Seq != want {
			t.Errorf("round %d: seq %d, wanted %d", round, v.Seq, want)
		}
		if err := p.ackAndClose(ctx, v.Seq); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
}

func TestRace_ConfirmAndReject(t *testing.T) {
	t.Parallel()
	_, nodes := cluster(t, 2)
	ctx := testContext(t, 30*time.Second)
	var mu sync.Mutex
	count := map[string]int{}
	parallel(t, 60, 6, func(i int) error {
		p, err := openWaiter(ctx, nodes[0].URL, nodes[i%2].URL)
		if err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		yes, no := hubtest.NewPhone("ja"), hubtest.NewPhone("ja")
		if i%3 == 0 {
			no = hubtest.NewPhone("nein") // two users, without a scan
		} else if err := callOK(ctx, yes, nodes[0].URL, p.ID, "scan"); err != nil {
			return err
		}
		answers := [2]*hubtest.Response{}
		errs := [2]error{}
		var both sync.WaitGroup
		both.Go(func() { answers[0], errs[0] = yes.Do(ctx, nodes[i%2].URL, p.ID, "confirm", nil) })
		both.Go(func() { answers[1], errs[1] = no.Do(ctx, nodes[i/2%2].URL, p.ID, "reject", nil) })
		both.Wait()
		if errs[0] != nil || errs[1] != nil {
			return fmt.Errorf("%v %v", errs[0], errs[1])
		}
		won := 0
		if answers[0].Status != 200 {
			won = 1
		}
		if answers[won].Status != 200 {
			return fmt.Errorf("neither call won: %s %s", answers[0].Body, answers[1].Body)
		}
		if err := checkRefusal(answers[1-won], nil, 409, "ticket_closed"); err != nil {
			return err
		}
		state := []string{"confirmed", "rejected"}[won]
		mu.Lock()
		count[state]++
		mu.Unlock()
		return p.waitDecision(ctx, nodes[0].URL, state, "sandbox:ja")
	})
	t.Logf("of 60: %v", count)
}

func TestRace_SameUserTwice(t *testing.T) {
	t.Parallel()
	_, nodes := cluster(t, 2)
	ctx := testContext(t, 30*time.Second)
	parallel(t, 60, 6, func(i int) error {
		p, err := openWaiter(ctx, nodes[0].URL, nodes[1].URL)
		if err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		if i%2 == 0 {
			if err := callOK(ctx, hubtest.NewPhone("zwei"), nodes[0].URL, p.ID, "scan"); err != nil {
				return err
			}
		}
		errs := [2]error{}
		var both sync.WaitGroup
		for j := range errs {
			both.Go(func() {
				// Two tabs of one user send different nicknames.
				a, err := hubtest.NewPhone("zwei").Do(ctx, nodes[j].URL, p.ID, "confirm",
					map[string]any{"user": hubtest.User{Nickname: fmt.Sprint("Tab ", j)}})
				if errs[j] = err; err == nil && a.Status != 200 {
					errs[j] = fmt.Errorf("confirm: %d %s", a.Status, a.Body)
				}
			})
		}
		both.Wait()
		if errs[0] != nil || errs[1] != nil {
			return fmt.Errorf("%v; %v", errs[0], errs[1])
		}
		v, err := p.waitToken(ctx, nodes[0].URL, "sandbox:zwei")
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if again, err := p.Poll(ctx, n.URL, 0, 0); err != nil || again.Token != v.Token || again.Seq != v.Seq {
				return fmt.Errorf("another token: %+v %v, first %+v", again, err, v)
			}
		}
		return p.ackAndClose(ctx, v.Seq)
	})
}
