package main

import (
	"os"
	"time"
)

// usageSnapshot is the CPU and the commands used up to a point in time.
type usageSnapshot struct {
	at          time.Time
	hub         float64 // CPU seconds, all nodes
	redis, self float64
	calls       map[string]int64 // of Redis, by command
}

// usage is what was used between a snapshot and now.
type usage struct {
	Seconds          float64
	Hub, Redis, Self float64 // CPU seconds
	Commands         int64   // scripts that Redis ran, without liveness probes
	Messages         int64   // published, without liveness probes
	All              int64   // commands, those of scripts and of liveness probes too
	Counted          bool    // Commands, Messages and All are known
}

func (s *cluster) mark() usageSnapshot {
	m := usageSnapshot{at: time.Now(), self: cpu(os.Getpid()), redis: cpu(s.redisPID)}
	for _, n := range s.nodes {
		m.hub += cpu(n.pid)
	}
	if s.redis != "" {
		m.calls, _, _ = redisInfo(s.redis) // without it the figure is left out
	}
	return m
}

func (s *cluster) since(m usageSnapshot) usage {
	now := s.mark()
	u := usage{Seconds: now.at.Sub(m.at).Seconds(), Hub: now.hub - m.hub, Redis: now.redis - m.redis, Self: now.self - m.self}
	if now.calls == nil || m.calls == nil {
		return u
	}
	delta := func(command string) int64 { return now.calls[command] - m.calls[command] }
	// A liveness probe is one script that sets the node's key and publishes
	// once. No other script calls SET.
	probes := delta("set")
	u.Commands = delta("evalsha") + delta("eval") - probes
	u.Messages = delta("publish") - probes
	for command := range now.calls {
		u.All += delta(command)
	}
	u.Counted = true
	return u
}

// per returns the CPU of each process divided by n, in the given unit and scale.
func (u usage) per(n float64, scale float64, unit string) []figure {
	return []figure{
		{"hub CPU", scale * u.Hub / n, unit},
		{"Redis CPU", scale * u.Redis / n, unit},
		{"loginbench's own CPU", scale * u.Self / n, unit},
	}
}

// rss returns the resident memory of all nodes in bytes.
func (s *cluster) rss() (all float64) {
	for _, n := range s.nodes {
		all += rss(n.pid)
	}
	return all
}
