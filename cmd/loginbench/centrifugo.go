package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
)

// centrifugo is Centrifugo with its Redis engine, and its bidirectional protocol in JSON
// (centrifugal.dev/docs/transports/client_protocol).
func centrifugo(program string) relay {
	return relay{
		name:      "Centrifugo",
		start:     func(ctx context.Context, b *bench) (*cluster, error) { return startCentrifugo(ctx, b, program) },
		subscribe: (*page).subscribeCentrifugo,
		publish: func(channel, text string) (path, body string) {
			return "/api/publish", `{"channel":"` + channel + `","data":{"text":"` + text + `"}}`
		},
		pids: func(s *cluster) []int { return []int{s.nodes[0].pid} },
	}
}

// subscribeCentrifugo opens a socket, connects and subscribes.
func (p *page) subscribeCentrifugo(ctx context.Context, channel string) error {
	if err := p.upgrade(ctx, "/connection/websocket", ""); err != nil {
		return err
	}
	commands := "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"" + channel + "\"}}"
	if _, err := p.line.Write(appendFrame(nil, opText, []byte(commands))); err != nil {
		return err
	}
	for {
		text, _, err := p.message()
		if err != nil || strings.Contains(string(text), `"error"`) {
			return fmt.Errorf("subscribe: %.200s %w", text, err)
		}
		if strings.Contains(string(text), `"id":2`) {
			return nil
		}
	}
}

func startCentrifugo(ctx context.Context, b *bench, program string) (s *cluster, err error) {
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
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return s, err
	}
	cmd, err := s.child("centrifugo", program, nil, "CENTRIFUGO_HTTP_SERVER_ADDRESS="+host, "CENTRIFUGO_HTTP_SERVER_PORT="+port,
		"CENTRIFUGO_ENGINE_TYPE=redis", "CENTRIFUGO_ENGINE_REDIS_ADDRESS=redis://"+s.redis, "CENTRIFUGO_LOG_LEVEL=error",
		"CENTRIFUGO_CLIENT_INSECURE=true", "CENTRIFUGO_HTTP_API_INSECURE=true", "CENTRIFUGO_HEALTH_ENABLED=true")
	if err != nil {
		return s, err
	}
	n := &node{pid: cmd.Process.Pid}
	if n.target, err = newTarget("http://"+address, b.Sources); err != nil {
		return s, err
	}
	s.nodes = []*node{n}
	return s, until(ctx, func() bool {
		status, _, _, err := n.target.call(ctx, "/health", "", "")
		return err == nil && status == 200
	})
}
