package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// occupySlots takes all render slots; free releases one.
func occupySlots(s *testServer) (free func()) {
	slots, _ := s.server.RenderLimiter()
	for len(slots) < cap(slots) {
		slots <- struct{}{}
	}
	return func() { <-slots }
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
		slots, queue := s.server.RenderLimiter()
		free := occupySlots(s)
		got := p.requestPicture(s.stepContext(t), "qr.png?size=1024")
		if len(got) != 0 || len(queue) != 1 {
			t.Fatalf("%d answers with all slots taken, %d queued", len(got), len(queue))
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
		synctest.Wait()
		if len(slots) != cap(slots)-1 || len(queue) != 0 {
			t.Errorf("%d of %d slots are taken, %d queued", len(slots), cap(slots), len(queue))
		}
	})
}

func TestRenderLimiter_RetryAfter(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		_, queue := s.server.RenderLimiter()
		free := occupySlots(s)
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
		if len(queue) != 0 {
			t.Errorf("%d are still queued", len(queue))
		}
		free()
		if a := s.ask(t, "GET", p.path("qr.png"), nil); a.status != http.StatusOK {
			t.Errorf("with a free slot: %d", a.status)
		}
	})
}

func TestRenderLimiter_CancelInQueue(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		slots, queue := s.server.RenderLimiter()
		free := occupySlots(s)
		for range 3 * 32 { // more than the address's share of the queue
			ctx, hangUp := context.WithCancel(s.stepContext(t))
			got := p.requestPicture(ctx, "qr.png")
			if len(queue) != 1 {
				t.Fatalf("%d queued", len(queue))
			}
			hangUp()
			if a := <-got; a != nil {
				t.Fatalf("answered: %d", a.status)
			}
			synctest.Wait()
			if len(queue) != 0 {
				t.Fatal("it is still queued")
			}
		}
		free()
		synctest.Wait()
		if len(slots) != cap(slots)-1 {
			t.Errorf("%d of %d slots are taken", len(slots), cap(slots))
		}
	})
}

func TestRenderLimiter_PerAddress(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		free := occupySlots(s)
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
