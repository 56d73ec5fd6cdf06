package apitest_test

import (
	"context"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// occupySlots takes all render slots, half of the cores; free releases one.
func occupySlots(t *testing.T, s *testServer) (free func()) {
	var all []func()
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		release, err := s.rendering.Acquire(t.Context(), netip.Prefix{})
		must(t, err)
		all = append(all, release)
	}
	return func() {
		all[0]()
		all = all[1:]
	}
}

// requestPicture requests a picture in the background.
func (p *browser) requestPicture(ctx context.Context, picture string) chan *answer {
	got := make(chan *answer, 1)
	go func() {
		a, err := p.s.send(ctx, "GET", p.path(picture), nil)
		if err != nil {
			a = nil
		}
		got <- a
	}()
	synctest.Wait()
	return got
}

func TestRenderLimiter_Queues(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		free := occupySlots(t, s)
		got := p.requestPicture(s.stepContext(t), "qr.png?size=1024")
		if len(got) != 0 {
			t.Fatal("answered with all slots taken")
		}
		began := time.Now()
		q := s.createTicket(t, nil)
		if a := s.ask(t, "GET", q.path("qr.svg"), nil); a.status != http.StatusOK { // an SVG needs no slot
			t.Errorf("svg: %d", a.status)
		}
		l := q.dial(t)
		l.expect(t, "pending", 1)
		s.phone("ann").mustDo(t, q, "scan")
		l.expect(t, "scanned", 2)
		s.phone("ann").mustDo(t, q, "confirm")
		l.expect(t, "confirmed", 3)
		if took := time.Since(began); took > 0 {
			t.Errorf("a login waited %v for the render queue", took)
		}
		free()
		if a := <-got; a == nil || a.status != http.StatusOK || len(a.body) == 0 {
			t.Fatalf("with a free slot: %+v", a)
		}
	})
}

func TestRenderLimiter_RetryAfter(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		free := occupySlots(t, s)
		began := time.Now()
		a := s.ask(t, "GET", p.path("qr.png"), nil)
		a.problem(t, 503, "overloaded")
		retryAfter(t, a, "2")
		if strings.Contains(s.log.String(), "refused") {
			t.Errorf("rejections are logged: %s", s.log)
		}
		if waited := time.Since(began); waited != 2*time.Second { // synctest's clock
			t.Errorf("refused after %v", waited)
		}
		// Invalid requests are answered without a slot.
		s.ask(t, "GET", p.path("qr.png")+"?size=7", nil).problem(t, 400, "invalid_request")
		free()
		if a := s.ask(t, "GET", p.path("qr.png"), nil); a.status != http.StatusOK {
			t.Errorf("with a free slot: %d", a.status)
		}
	})
}

func TestRenderLimiter_PerAddress(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		free := occupySlots(t, s)
		var all []chan *answer
		for range 32 {
			all = append(all, p.requestPicture(s.stepContext(t), "qr.png"))
		}
		began := time.Now()
		s.ask(t, "GET", p.path("qr.png"), nil).problem(t, 503, "overloaded")
		if time.Since(began) > 0 {
			t.Error("the rejection was delayed")
		}
		free() // one slot serves all, one after the other
		for _, got := range all {
			if a := <-got; a == nil || a.status != http.StatusOK {
				t.Errorf("one that waited: %+v", a)
			}
		}
	})
}
