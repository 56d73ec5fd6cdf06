package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

type peersScenario struct {
	pushScenario
	Module string `default:"/usr/lib/nginx/modules/ngx_nchan_module.so" help:"nginx's nchan module (Debian: libnginx-mod-nchan)."`
}

// nchanConf is nchan as its README sets it up with Redis.
const nchanConf = `load_module %s;
daemon off;
pid %s/nginx.pid;
error_log stderr error;
worker_processes auto;
worker_rlimit_nofile %d;
events { worker_connections %d; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fcgi;
  uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
  upstream store { nchan_redis_server redis://%[5]s; }
  server {
    listen %[6]s;
    location ~ ^/pub/(\w+)$ { nchan_publisher; nchan_channel_id $1; nchan_redis_pass store; nchan_message_timeout 10s; }
    location ~ ^/sub/(\w+)$ { nchan_subscriber websocket; nchan_channel_id $1; nchan_redis_pass store; nchan_subscriber_first_message newest; }
    location = /readyz { return 200; }
  }
}
`

// measure runs the hub and nchan in turns. nchan relays what is published; the hub
// also reads, checks, exchanges the code, seals, changes and signs.
func (c *peersScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	all, err := c.pushScenario.measure(ctx, b)
	if err != nil {
		return nil, err
	}
	r, err := c.nchan(ctx, b)
	return append(all, r), err
}

func (c *peersScenario) nchan(ctx context.Context, b *bench) (result, error) {
	r := result{Scenario: "push through nchan", Nodes: 1, Pages: c.Pages}
	s, err := c.startNchan(ctx, b)
	if err != nil {
		return r, err
	}
	defer s.stop()
	d := s.nodes[0].target
	empty := s.nchanRSS()
	s.waiting = make([]*page, c.Pages)
	if err := each(ctx, c.Pages, b.AtOnce, func(ctx context.Context, i int) error {
		p := &page{target: d}
		s.waiting[i] = p
		if err := p.subscribe(ctx, "idle"+strconv.Itoa(i)); err != nil {
			return err
		}
		p.line.SetDeadline(time.Time{})
		s.readers.Go(func() { p.message() })
		return nil
	}); err != nil {
		return r, err
	}
	r.add(figure{"RSS per page", (s.nchanRSS() - empty) / float64(c.Pages) / 1024, "KiB"})
	samples := make([]sample, int(float64(c.Rate)*c.For.Seconds()))
	begin := s.mark()
	before := s.nchanCPU()
	var all sync.WaitGroup
	pace(len(samples), c.Rate, func(i int, at time.Time) func() {
		now := make(chan struct{})
		samples[i].intended, samples[i].login = at, &login{}
		all.Go(func() {
			samples[i].err = relay(ctx, d, "c"+strconv.Itoa(i), samples[i].login, now)
		})
		return func() { close(now) }
	})
	all.Wait()
	u := s.since(begin)
	u.Hub = s.nchanCPU() - before
	if err := r.addSamples(samples); err != nil {
		return r, err
	}
	r.add(u.per(float64(len(samples))/1000, 1, "CPU-s/1,000 messages")...)
	return r, nil
}

// subscribe opens a channel's socket. It retries, because an nginx worker refuses
// it until the worker is connected to Redis.
func (p *page) subscribe(ctx context.Context, channel string) (last error) {
	if err := until(ctx, func() bool {
		last = p.upgrade(ctx, "/sub/"+channel, "")
		return last == nil
	}); err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}

// relay subscribes one page and publishes a text of a token's length to it.
func relay(ctx context.Context, d *target, channel string, l *login, now <-chan struct{}) error {
	p := &page{target: d}
	defer p.drop()
	err := p.subscribe(ctx, channel)
	<-now
	if err != nil {
		return err
	}
	heard := make(chan error, 1)
	go func() { // ends with the message or the connection's deadline
		_, at, err := p.message()
		l.pushed = at
		heard <- err
	}()
	status, answer, sent, err := d.call(ctx, "/pub/"+channel, "", strings.Repeat("x", 600))
	l.sent = sent
	if err != nil || status/100 != 2 {
		p.drop()
		<-heard
		return fmt.Errorf("publish: %d %.100s %w", status, answer, err)
	}
	return <-heard
}

func (c *peersScenario) startNchan(ctx context.Context, b *bench) (s *cluster, err error) {
	s = &cluster{}
	if s.dir, err = os.MkdirTemp("", "loginbench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = s.abandon(err)
		}
	}()
	if err := s.startRedis(ctx); err != nil {
		return s, err
	}
	address := freePort()
	conf := filepath.Join(s.dir, "nginx.conf")
	text := fmt.Sprintf(nchanConf, c.Module, s.dir, b.files, b.files-64, s.redis, address)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return s, err
	}
	cmd, err := s.child("nginx", "nginx", []string{"-c", conf, "-e", "stderr"})
	if err != nil {
		return s, fmt.Errorf("%w (Debian: apt-get install nginx libnginx-mod-nchan)", err)
	}
	n := &node{pid: cmd.Process.Pid}
	if n.target, err = newTarget("http://"+address, b.Sources); err != nil {
		return s, err
	}
	s.nodes = []*node{n}
	p := &page{target: n.target}
	defer p.drop()
	return s, p.subscribe(ctx, "ready")
}

// workers returns the process ids of nginx's workers, which do the work.
func (s *cluster) workers() (pids []int) {
	master := s.nodes[0].pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", master, master))
	if err != nil {
		return nil
	}
	for _, f := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(f); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (s *cluster) nchanCPU() (sum float64) {
	for _, pid := range s.workers() {
		sum += cpu(pid)
	}
	return sum
}

func (s *cluster) nchanRSS() (sum float64) {
	for _, pid := range s.workers() {
		sum += rss(pid)
	}
	return sum
}
