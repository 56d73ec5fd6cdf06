package logqueue_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/cmd/loginhub/logqueue"
)

// limited returns a log without times, and a function that returns the lines since
// its last call.
func limited() (log *slog.Logger, limit *logqueue.Limit, news func() []string) {
	out := newGate(false)
	limit = logqueue.NewLimit(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}}))
	seen := 0
	return slog.New(limit), limit, func() []string {
		synctest.Wait()
		all := out.lines()
		defer func() { seen = len(all) }()
		return all[seen:]
	}
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("logged %q, wanted %q", got, want)
	}
}

func TestLimit_FirstThenOnceInThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, limit, news := limited()
		for i := range 100 { // ten a second, for ten seconds
			log.Warn("link broken", "error", errors.New("refused"), "try", i)
			<-time.After(100 * time.Millisecond)
		}
		expect(t, news(), `msg="link broken" error=refused try=0`)
		<-time.After(21 * time.Second)
		expect(t, news(), `msg="link broken" error=refused try=99 repeated=99`)
		<-time.After(31 * time.Second)
		log.Warn("link broken", "try", 100) // after a quiet time the line counts as the first
		expect(t, news(), `msg="link broken" try=100`)
		log.Warn("link broken", "try", 101)
		limit.Flush()
		expect(t, news(), `msg="link broken" try=101 repeated=1`)
	})
}

func TestLimit_KeysByMessageAndConfiguredValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, limit, news := limited()
		log.Warn("refused", "code", "a", "path", "/1")
		log.With("code", "b").Error("refused", "path", "/2")
		log.Warn("refused", "code", "a", "path", "/3") // clients choose paths
		log.Warn("refused", "code", "a", "origin", "https://a.example")
		log.With("queue", "client:a").Warn("refused", "code", "a")
		log.Info("refused", "code", "a")
		log.Info("refused", "code", "a")
		expect(t, news(), "msg=refused code=a path=/1", "msg=refused code=b path=/2", "msg=refused code=a origin=https://a.example",
			"msg=refused queue=client:a code=a", "msg=refused code=a", "msg=refused code=a")
		limit.Flush()
		expect(t, news(), "msg=refused code=a path=/3 repeated=1")
	})
}

func TestLimit_BoundsItsTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, limit, news := limited()
		for i := range 1000 {
			log.Error("broken", "id", fmt.Sprint(i))
		}
		if n := len(news()); n != 257 {
			t.Errorf("%d lines", n)
		}
		limit.Flush()
		expect(t, news(), "msg=broken id=999 repeated=743")
	})
}
