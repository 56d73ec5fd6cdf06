package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// cluster is the system under test: nodes and their Redis, started here or given
// by --hub.
type cluster struct {
	nodes    []*node
	redis    string // address; empty if unknown
	redisPID int
	provider string
	wechat   fakeWeChat // for provider wechat

	dir      string
	children []*exec.Cmd
	ports    []net.PacketConn // reserve ports (freePort)
	waiting  []*page          // idle pages
	readers  sync.WaitGroup
	lost     lost
}

// node is one server.
type node struct {
	target *target
	admin  *target // nil if unknown
	pid    int     // 0 if unknown
}

// given returns the cluster that --hub names.
func (b *bench) given() (*cluster, error) {
	s := &cluster{redis: b.Redis, provider: b.Provider}
	for i, text := range b.Hub {
		d, err := newTarget(text, b.Sources)
		if err != nil {
			return nil, err
		}
		n := &node{target: d}
		if i < len(b.Admin) {
			if n.admin, err = newTarget(b.Admin[i], 0); err != nil {
				return nil, err
			}
		}
		if i < len(b.PID) {
			n.pid = b.PID[i]
		}
		s.nodes = append(s.nodes, n)
	}
	if s.redis != "" {
		_, pid, err := redisInfo(s.redis)
		if err != nil {
			return nil, err
		}
		s.redisPID = pid
	}
	return s, nil
}

// start starts a cluster of so many nodes, or returns the one that --hub names.
// settings are further ones of the nodes. The caller stops it.
func (b *bench) start(ctx context.Context, nodes int, ticketTTL time.Duration, settings ...string) (s *cluster, err error) {
	if len(b.Hub) > 0 {
		return b.given()
	}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	s = &cluster{provider: b.Provider}
	switch b.Provider {
	case "sandbox":
	case "wechat":
		s.wechat = startImitation()
		settings = append(settings, s.wechat.settings()...)
	default:
		return nil, fmt.Errorf("--provider %s: nodes that are started know sandbox and wechat; name running ones with --hub", b.Provider)
	}
	defer func() {
		if err != nil {
			err = s.abandon(err)
		}
	}()
	if s.dir, err = os.MkdirTemp("", "loginbench-"); err != nil {
		return s, err
	}
	if b.Embedded {
		return s, b.startNodes(ctx, s, 1, "embedded", ticketTTL, settings...)
	}
	if err := s.startRedis(ctx); err != nil {
		return s, err
	}
	return s, b.startNodes(ctx, s, nodes, "redis://"+s.redis, ticketTTL, settings...)
}

// startNodes starts nodes on the Redis at url and waits until they are ready.
func (b *bench) startNodes(ctx context.Context, s *cluster, nodes int, url string, ticketTTL time.Duration, settings ...string) error {
	var key [32]byte
	rand.Read(key[:])
	for i := range nodes {
		public, admin := s.freePort(), s.freePort()
		cmd, err := s.child(fmt.Sprintf("node%d", i), b.Bin, nil, append([]string{
			"LOGINHUB_LISTEN=" + public, "LOGINHUB_ADMIN_LISTEN=" + admin, "LOGINHUB_PUBLIC_URL=http://login.test",
			"LOGINHUB_REDIS_URL=" + url, "LOGINHUB_KEYS=" + base64.RawURLEncoding.EncodeToString(key[:]),
			"LOGINHUB_TICKET_TTL=" + ticketTTL.String(), "LOGINHUB_RATE_LIMIT=0", "LOGINHUB_DRAIN=0s",
			"LOGINHUB_MAX_SOCKETS=1000000", "LOGINHUB_LOG=" + b.Log}, settings...)...)
		if err != nil {
			return err
		}
		n := &node{pid: cmd.Process.Pid}
		if n.target, err = newTarget("http://"+public, b.Sources); err != nil {
			return err
		}
		if n.admin, err = newTarget("http://"+admin, 0); err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
	}
	for _, n := range s.nodes {
		if err := until(ctx, func() bool {
			status, _, _, err := n.target.call(ctx, "/readyz", "", "")
			return err == nil && status == 200
		}); err != nil {
			return fmt.Errorf("a node does not become ready: %w", err)
		}
	}
	return nil
}

func (s *cluster) startRedis(ctx context.Context) error {
	s.redis = s.freePort()
	_, port, err := net.SplitHostPort(s.redis)
	if err != nil {
		return err
	}
	if _, err := s.child("redis", "redis-server", []string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no"}); err != nil {
		return fmt.Errorf("%w (Debian: apt-get install redis-server)", err)
	}
	return until(ctx, func() bool {
		_, pid, err := redisInfo(s.redis)
		s.redisPID = pid
		return err == nil
	})
}

// child starts a process whose output goes to a file.
func (s *cluster) child(name, program string, args []string, env ...string) (*exec.Cmd, error) {
	out, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s.children = append(s.children, cmd)
	return cmd, nil
}

// abandon stops a cluster that did not start. It keeps the logs, if there are any,
// and adds to the error where they are.
func (s *cluster) abandon(err error) error {
	if len(s.children) > 0 {
		err = fmt.Errorf("%w; the logs are in %s", err, s.dir)
		s.dir = ""
	}
	s.stop()
	return err
}

// stop closes the pages, then stops the nodes, then their Redis.
func (s *cluster) stop() {
	s.dropAll()
	for _, n := range s.nodes {
		n.target.close()
		if n.admin != nil {
			n.admin.close()
		}
	}
	for i := len(s.children) - 1; i >= 0; i-- {
		s.children[i].Process.Signal(syscall.SIGTERM)
		time.AfterFunc(10*time.Second, func() { s.children[i].Process.Kill() })
		s.children[i].Wait() // the exit code does not matter
	}
	for _, sign := range s.ports {
		sign.Close()
	}
	if s.wechat.Server != nil {
		s.wechat.Close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// build compiles the hub, once.
func (b *bench) build(ctx context.Context) error {
	if b.Bin != "" || len(b.Hub) > 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "loginbench-bin-")
	if err != nil {
		return err
	}
	b.after = func() { os.RemoveAll(dir) }
	bin := filepath.Join(dir, "loginhub")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "loginhub/cmd/loginhub").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s(run it within the module, or name a program with --bin)", err, out)
	}
	b.Bin = bin
	return nil
}

// freePort returns a free port of the loopback address, below the range that Linux uses for
// outgoing connections. The UDP port of the same number reserves it until stop.
func (s *cluster) freePort() string {
	address := ""
	for range 100 {
		address = "127.0.0.1:" + strconv.Itoa(10000+mathrand.IntN(22000))
		sign, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		s.ports = append(s.ports, sign)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			break
		}
	}
	return address // if none is free, the program that gets it says so
}

// until calls ok every 20 ms until it returns true, for at most 20 s.
func until(ctx context.Context, ok func() bool) error {
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return errors.New("waited for 20 s")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
