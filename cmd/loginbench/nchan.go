package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

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

// nchan is nginx with its nchan module, found at that path.
func nchan(module string) relay {
	return relay{
		name:      "nchan",
		start:     func(ctx context.Context, b *bench) (*cluster, error) { return startNchan(ctx, b, module) },
		subscribe: (*page).subscribe,
		publish:   func(channel, text string) (path, body string) { return "/pub/" + channel, text },
		pids:      (*cluster).workers,
	}
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

func startNchan(ctx context.Context, b *bench, module string) (s *cluster, err error) {
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
	address := s.freePort()
	conf := filepath.Join(s.dir, "nginx.conf")
	text := fmt.Sprintf(nchanConf, module, s.dir, b.files, b.files-64, s.redis, address)
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
