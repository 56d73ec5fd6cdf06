package main_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestRedis_CommandsPerLogin counts a login's commands and messages, which do not depend on the
// number of nodes. With two windows, a node that handles the ack notifies its own waiters; the other
// node needs a message.
func TestRedis_CommandsPerLogin(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 3)
	ctx := hubtest.Context(t, 20*time.Second)
	for name, at := range map[string]struct {
		create, hold, scan, confirm int
		second                      int // node of a second window, if it differs from hold
		messages                    map[int]int
	}{
		"on one node":            {0, 0, 0, 0, 0, map[int]int{}}, // a node sends itself none
		"on three nodes":         {0, 1, 2, 0, 1, map[int]int{1: 2}},
		"confirmed where it is":  {1, 2, 0, 2, 2, map[int]int{2: 1}},
		"with two open windows ": {2, 0, 2, 2, 1, map[int]int{0: 2, 1: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			stop, messages := redis.Monitor(t), redis.Subscribe(t)
			p := mustOpenWaiter(t, ctx, nodes[at.create].URL, nodes[at.hold].URL)
			want := 7
			if at.second != at.hold {
				mustAttach(t, ctx, p, nodes[at.second].URL, "pending")
				want++
			}
			phone := hubtest.NewPhone("thrifty")
			mustCall(t, ctx, phone, nodes[at.scan].URL, p.ID, "scan")
			mustCall(t, ctx, phone, nodes[at.confirm].URL, p.ID, "confirm")
			v, err := p.waitToken(ctx, nodes[0].URL, "sandbox:thrifty")
			if err != nil {
				t.Fatal(err)
			}
			if err := p.ackAndClose(ctx, v.Seq); err != nil {
				t.Fatal(err)
			}
			if commands := ticketCommands(stop(), p.ID); len(commands) != want {
				t.Errorf("%d commands, wanted %d:\n%s", len(commands), want, strings.Join(commands, "\n"))
			}
			sent := map[int]int{}
			for _, m := range messages() {
				for i, n := range nodes {
					if strings.HasPrefix(m.Payload, "t"+p.ID) && m.Channel == "loginhub:mail:"+n.ID(t) {
						sent[i]++
					}
				}
			}
			if !maps.Equal(sent, at.messages) {
				t.Errorf("messages %v, wanted %v", sent, at.messages)
			}
		})
	}
}

// ticketCommands returns the recorded commands that contain the text, without those of scripts.
func ticketCommands(lines []string, text string) (commands []string) {
	for _, line := range lines {
		if strings.Contains(line, text) && !strings.Contains(line, " lua] ") {
			commands = append(commands, line)
		}
	}
	return commands
}

// TestRedis_CommandsOfOtherProviders counts the extra commands that the settings' help names.
func TestRedis_CommandsOfOtherProviders(t *testing.T) {
	t.Parallel()
	company := hubtest.StartAppIssuer(t)
	w, settings := startWebsite(t, company.Settings...)
	redis, nodes := cluster(t, 1, settings...)
	ctx, url, tab := hubtest.Context(t, 20*time.Second), nodes[0].URL, newBrowser(t, nodes[0])
	website := func() { tab.do("GET", w.Allow(tab.startLogin(hubtest.MustCreateTicket(t, ctx, url)), "alice"), nil) }
	assertion := func() {
		ticket := hubtest.MustCreateTicket(t, ctx, url)
		a, err := phoneCall(ctx, url, ticket, "confirm", "app", assertion(company, ticket.ID, "u-1"))
		hubtest.AssertRefusal(t, "assertion", a, err, 200, "")
	}
	for what, c := range map[string]struct {
		login func()
		most  int
	}{
		"a website login": {website, 7}, // create; read, save state; load state, take it, read, change
		"an assertion":    {assertion, 5},
	} {
		c.login() // loads the scripts
		stop := redis.Monitor(t)
		c.login()
		lines := stop()
		if n := len(ticketCommands(lines, "loginhub:{")) + len(ticketCommands(lines, "loginhub:vault:")); n > c.most || n < 4 {
			t.Errorf("%s: %d commands", what, n)
		}
	}
}
