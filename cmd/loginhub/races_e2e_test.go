package main_test

import (
	"errors"
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
	for round := range 12 {
		ctx := hubtest.Context(t, 20*time.Second)
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

// both makes two phone calls at once, each on another node.
func both(nodes []*hubtest.Node, calls [2]func(url string) (*hubtest.Response, error)) (answers [2]*hubtest.Response, err error) {
	var errs [2]error
	var all sync.WaitGroup
	for i, call := range calls {
		all.Go(func() { answers[i], errs[i] = call(nodes[i].URL) })
	}
	all.Wait()
	return answers, errors.Join(errs[:]...)
}

func TestRace_ConfirmAndReject(t *testing.T) {
	t.Parallel()
	_, nodes := cluster(t, 2)
	ctx := hubtest.Context(t, 30*time.Second)
	hubtest.Parallel(t, 60, 6, func(i int) error {
		p, err := openWaiter(ctx, nodes[0].URL, nodes[i%2].URL)
		if err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		yes, no := hubtest.NewPhone("ja"), hubtest.NewPhone("ja")
		if i%3 == 0 {
			no = hubtest.NewPhone("nein") // two users, without a scan
		} else if err := hubtest.CallOK(ctx, yes, nodes[0].URL, p.ID, "scan"); err != nil {
			return err
		}
		answers, err := both(nodes, [2]func(string) (*hubtest.Response, error){
			func(url string) (*hubtest.Response, error) { return yes.Do(ctx, url, p.ID, "confirm", nil) },
			func(url string) (*hubtest.Response, error) { return no.Do(ctx, url, p.ID, "reject", nil) }})
		if err != nil {
			return err
		}
		won, state := 0, "confirmed"
		if answers[0].Status != 200 {
			won, state = 1, "rejected"
		}
		if answers[won].Status != 200 {
			return fmt.Errorf("neither call won: %s %s", answers[0].Body, answers[1].Body)
		}
		if err := hubtest.CheckRefusal(answers[1-won], nil, 409, "ticket_closed"); err != nil {
			return err
		}
		return p.waitDecision(ctx, nodes[0].URL, state, "sandbox:ja")
	})
}

func TestRace_SameUserTwice(t *testing.T) {
	t.Parallel()
	_, nodes := cluster(t, 2)
	ctx := hubtest.Context(t, 30*time.Second)
	hubtest.Parallel(t, 60, 6, func(i int) error {
		p, err := openWaiter(ctx, nodes[0].URL, nodes[1].URL)
		if err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		if i%2 == 0 {
			if err := hubtest.CallOK(ctx, hubtest.NewPhone("zwei"), nodes[0].URL, p.ID, "scan"); err != nil {
				return err
			}
		}
		tab := func(name string) func(string) (*hubtest.Response, error) { // two tabs of one user send different nicknames
			return func(url string) (*hubtest.Response, error) {
				return hubtest.NewPhone("zwei").Do(ctx, url, p.ID, "confirm", map[string]any{"user": hubtest.User{Nickname: name}})
			}
		}
		answers, err := both(nodes, [2]func(string) (*hubtest.Response, error){tab("Tab 0"), tab("Tab 1")})
		if err != nil || answers[0].Status != 200 || answers[1].Status != 200 {
			return fmt.Errorf("%+v %w", answers, err)
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
