package redisstore

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// TestRestart_KeepsTickets restarts Redis with the shipped configuration. The
// append-only file stores the writes of scripts as MULTI/EXEC, and a server replays them
// as its default user.
func TestRestart_KeepsTickets(t *testing.T) {
	t.Parallel()
	for _, program := range hubtest.ServerPrograms() {
		for name, restart := range map[string]func(*testing.T, *hubtest.Redis){
			"clean": func(t *testing.T, server *hubtest.Redis) {
				server.Terminate()
				if code, err := server.Wait(20 * time.Second); code != 0 || err != nil {
					t.Errorf("redis-server ended with %d, %v", code, err)
				}
			},
			"crash": func(_ *testing.T, server *hubtest.Redis) { server.Kill() },
		} {
			t.Run(program+" "+name, func(t *testing.T) {
				t.Parallel()
				server := hubtest.StartServer(t, program)
				r := newFixture(t, server.URL, 1)
				stored := r.changed(t, 10)
				again := func(when string) {
					awaitInfo(t, r, "aof_buffer_length:0")
					restart(t, server)
					server.Start(t)
					for id, want := range stored {
						if got := r.storedRecord(t, id); string(got) != string(want) {
							t.Errorf("%s: ticket %s holds %q, want %q", when, id, got, want)
						}
					}
					refusesDefault(t, server)
				}
				again("restart")
				if err := r.inspect.Do(limit(t), "BGREWRITEAOF").Err(); err != nil {
					t.Fatal(err)
				}
				awaitInfo(t, r, "aof_rewrite_in_progress:0")
				for id, sealed := range r.changed(t, 10) {
					stored[id] = sealed
				}
				again("restart after a rewrite")
			})
		}
	}
}

// changed creates n tickets, each changed once and attached, and returns what Redis
// stores of them.
func (r *fixture) changed(t *testing.T, n int) map[ticket.ID][]byte {
	t.Helper()
	all := map[ticket.ID][]byte{}
	for range n {
		id, old, deadline := r.created(t, time.Minute)
		r.attach(t, "node", id)
		c := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, string(id)), NotAfter: deadline, ExpireAt: deadline}
		if out := r.change(t, c); !out.Done {
			t.Fatalf("change: %+v", out)
		}
		all[id] = c.Sealed
	}
	return all
}

// awaitInfo waits until INFO persistence contains that line.
func awaitInfo(t *testing.T, r *fixture, line string) {
	t.Helper()
	hubtest.Eventually(t, 20*time.Second, line, func() bool {
		info, err := r.inspect.Info(limit(t), "persistence").Result()
		return err == nil && strings.Contains(info, line)
	})
}

// refusesDefault fails if the default user can do anything, with or without a password.
func refusesDefault(t *testing.T, server *hubtest.Redis) {
	t.Helper()
	for _, password := range []string{"", "default", "nopass"} {
		c := redis.NewClient(&redis.Options{Addr: server.Addr, Password: password, DisableIdentity: true})
		if err := c.Ping(limit(t)).Err(); err == nil {
			t.Errorf("the default user is let in with password %q", password)
		}
		c.Close()
	}
}
