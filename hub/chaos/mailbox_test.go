package chaos_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestMailbox_Subscriptions covers subscriptions that break, and those that are up and deliver nothing.
func TestMailbox_Subscriptions(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	i := 0
	line, node := f.lines[0], f.nodes[0]
	f.run(t, []faultCase{
		{name: "subscriptions killed", phoneErrors: true,
			fault: fault{interval: 50 * time.Millisecond, minTimes: 30, inject: func(t *testing.T, ctx context.Context) {
				f.command(t, ctx, "CLIENT", "KILL", "TYPE", "pubsub")
			}}},
		{name: "one muted", check: keptSockets, // noticed before the node is stalled
			fault: fault{interval: 1500 * time.Millisecond, minTimes: len(f.lines), inject: func(t *testing.T, _ context.Context) {
				i++
				mute(t, f.lines[i%len(f.lines)], f.nodes[i%len(f.nodes)])
			}}},
		{name: "every new one muted", phoneErrors: true,
			fault: fault{interval: time.Second, minTimes: 1, maxTimes: once(), inject: func(t *testing.T, ctx context.Context) {
				if n := line.MuteNew(); n != 1 {
					t.Errorf("%d subscriptions were muted, want 1", n)
				}
				waitReadyz(t, 503, node)
				pause(ctx, 3*time.Second) // while it closes its pages
				line.Release()
				waitReadyz(t, 200, node)
			}}},
		{name: "black hole", phoneErrors: true, ways: f.elsewhere,
			fault: fault{interval: time.Second, minTimes: 1, maxTimes: once(), inject: func(t *testing.T, ctx context.Context) {
				line.Pause()
				waitReadyz(t, 503, node)
				pause(ctx, 4*time.Second)
				line.Resume()
				waitReadyz(t, 200, node)
			}}},
	})
}

// TestMailbox_BriefSilence covers silence that is too short for a node to be stalled.
func TestMailbox_BriefSilence(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	brief := func(begin, end func()) fault {
		return fault{interval: 2 * time.Second, minTimes: 1, inject: func(_ *testing.T, ctx context.Context) {
			begin()
			pause(ctx, 1500*time.Millisecond)
			end()
		}}
	}
	line := f.lines[0]
	f.run(t, []faultCase{
		{name: "what is sent is lost", phoneErrors: true, ways: f.elsewhere, check: keptSockets, fault: brief(line.Pause, line.Resume)},
		{name: "connections are cut", phoneErrors: true, ways: f.elsewhere, check: keptSockets, fault: brief(line.Cut, line.Cut)},
		{name: "cut and nothing passes", phoneErrors: true, ways: f.elsewhere, check: keptSockets,
			fault: brief(func() { line.Pause(); line.Cut() }, line.Resume)},
		{name: "Redis stalls", phoneErrors: true, check: keptSockets,
			fault: brief(func() { f.redis.Stall() }, func() { f.redis.Resume() })},
	})
}

// mute mutes the node's subscription and waits until the node has subscribed again. Only
// the node itself ends the muted connection.
func mute(t *testing.T, line *hubtest.Proxy, node *hubtest.Node) {
	if n := line.Mute(); n != 1 {
		t.Errorf("%d subscriptions were muted, want 1", n)
	}
	hubtest.Eventually(t, 10*time.Second, "the node has subscribed again", func() bool {
		deliver, mute := line.Subscriptions()
		return deliver == 1 && mute == 0
	})
	if status := node.Get("/readyz"); status != 200 {
		t.Errorf("readyz %d", status)
	}
}
