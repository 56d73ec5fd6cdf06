package hubtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a redis-server for one test.
type Redis struct {
	process
	URL     string
	Addr    string
	Client  *redis.Client // with the operator's rights
	program string
	args    []string
	dir     string // directory of its append-only file
}

// StartRedis starts a redis-server on a free port with the configuration and the users
// in deploy/redis. URL is for the nodes' user, Client for the operator. args are passed
// to redis-server and override the configuration. The server ends with the test.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	return StartServer(t, "redis-server", args...)
}

// StartServer is StartRedis with one of ServerPrograms.
func StartServer(t testing.TB, program string, args ...string) *Redis {
	t.Helper()
	conf, options := shippedRedis(t)
	r := start(t, program, "admin", adminPassword, append(append([]string{conf}, options...), args...)...)
	r.URL = r.URLVia(r.Addr)
	return r
}

// StartRedisAs is StartRedis with the configuration at the path in the first argument.
// Client logs in as that user.
func StartRedisAs(t testing.TB, user, password string, args ...string) *Redis {
	t.Helper()
	return start(t, "redis-server", user, password, args...)
}

func start(t testing.TB, program, user, password string, args ...string) *Redis {
	t.Helper()
	port := FreePort(t)
	r := &Redis{program: program, Addr: "127.0.0.1:" + port, URL: "redis://127.0.0.1:" + port + "/0", dir: t.TempDir()}
	r.args = append([]string{args[0], "--port", port, "--bind", "127.0.0.1", "--dir", r.dir, "--daemonize", "no"}, args[1:]...)
	r.Client = redis.NewClient(&redis.Options{Addr: r.Addr, Username: user, Password: password, DisableIdentity: true})
	r.Start(t)
	t.Cleanup(func() {
		r.Client.Close()
		r.Kill()
	})
	return r
}

// AdminURL returns the operator's URL of the server or Cluster at url.
func AdminURL(url string) string {
	return strings.Replace(url, "loginhub:"+HubPassword+"@", "admin:"+adminPassword+"@", 1)
}

// URLVia returns the URL of the nodes' user at another address.
func (r *Redis) URLVia(addr string) string {
	return "redis://loginhub:" + HubPassword + "@" + addr + "/0"
}

// Start starts the server (again) and waits until it answers.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	r.run(t, nil, r.program, r.args...)
	Eventually(t, 10*time.Second, "redis-server answers", func() bool {
		return r.Client.Ping(context.Background()).Err() == nil
	})
}

// ServerPrograms returns the programs on this machine to test with: Redis's server, and
// Valkey's if it is installed.
func ServerPrograms() []string {
	all := []string{"redis-server"}
	if _, err := exec.LookPath("valkey-server"); err == nil {
		all = append(all, "valkey-server")
	}
	return all
}

// Disk returns the content of all files that the server has written: its append-only
// log and a snapshot, which is not compressed.
func (r *Redis) Disk(t testing.TB, ctx context.Context) string {
	t.Helper()
	if err := errors.Join(r.Client.ConfigSet(ctx, "rdbcompression", "no").Err(), r.Client.Save(ctx).Err()); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	err := filepath.WalkDir(r.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// Wipe deletes the data of a killed server from disk.
func (r *Redis) Wipe(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(r.dir, "appendonlydir")); err != nil {
		t.Errorf("wipe: %v", err)
	}
}

// Monitor collects every command that the server runs, as MONITOR prints it, until stop
// is called.
func (r *Redis) Monitor(t testing.TB) (stop func() []string) {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatalf("monitor: %v", err)
	}
	fmt.Fprintf(conn, "AUTH admin %s\r\nMONITOR\r\n", adminPassword)
	in := bufio.NewReaderSize(conn, 1<<20)
	for range 2 {
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
			t.Fatalf("monitor: %q %v", line, err)
		}
	}
	var lines []string
	const last = "end-of-monitor"
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			line, err := in.ReadString('\n')
			if err != nil || strings.Contains(line, last) {
				return
			}
			lines = append(lines, strings.TrimSpace(line))
		}
	}()
	var once sync.Once
	end := func() []string {
		once.Do(func() {
			r.Client.Do(context.Background(), "ECHO", last)
			<-done
			conn.Close()
		})
		return lines
	}
	t.Cleanup(func() { conn.Close() })
	return end
}

// Subscribe collects every message to any node's mailbox until stop is called.
func (r *Redis) Subscribe(t testing.TB) (stop func() []*redis.Message) {
	t.Helper()
	const last = "loginhub:mail:end-of-mail"
	ctx, cancel := WithTimeout(time.Minute)
	t.Cleanup(cancel)
	ps := r.Client.PSubscribe(ctx, "loginhub:mail:*")
	t.Cleanup(func() { ps.Close() })
	if _, err := ps.Receive(ctx); err != nil {
		t.Fatalf("psubscribe: %v", err)
	}
	var all []*redis.Message
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := ps.ReceiveMessage(ctx)
			if err != nil || m.Channel == last {
				return
			}
			all = append(all, m)
		}
	}()
	return func() []*redis.Message {
		r.Client.Publish(ctx, last, "")
		<-done
		return all
	}
}

// FreePort returns a port that was free a moment ago. It is below the range that Linux
// uses for outgoing connections, so that none of those takes it first.
func FreePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(11000 + rand.IntN(21000)) // browsers and fetch refuse some ports up to 10080
		// The UDP port of the same number reserves the port, also against tests of other
		// packages and while its server is down. Nothing here uses UDP.
		sign, err := net.ListenPacket("udp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			t.Cleanup(func() { sign.Close() })
			return port
		}
		sign.Close()
	}
	t.Fatal("no free port")
	return ""
}

// Eventually waits until ok returns true. It fails the test after the limit.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(slowest * limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", slowest*limit, what)
		}
		<-tick.C
	}
}
