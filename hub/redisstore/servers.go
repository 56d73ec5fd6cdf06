package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Server is one master as it speaks of itself (INFO). What it does not say is
// empty or 0.
type Server struct {
	Addr             string
	Version          string // Redis's; a Valkey names the Redis that it is compatible with
	Valkey           string // its own version; "" for a Redis
	EvictionPolicy   string // maxmemory-policy
	UsedMemory       int64  // bytes
	MaxMemory        int64  // maxmemory in bytes; 0: no limit
	AOF              bool   // the append-only file is written
	PersistenceError string // what cannot be written to disk: "log" or "snapshot"
	Loading          bool   // it reads its dataset and answers nobody
	Replicas         int    // that are connected and in step
	// Replay is what this server's default user may do of what its append-only
	// file replays: RightsAll if there is no such file.
	Replay Rights
}

// Rights is whether a Redis user may do something.
type Rights int

const (
	RightsUnknown Rights = iota // the server does not answer the question
	RightsAll
	RightsMissing
)

// Servers asks every master; in a Cluster there are several.
func (s *Store) Servers(ctx context.Context) ([]Server, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var mu sync.Mutex
	var all []Server
	ask := func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx).Result()
		if err != nil {
			return fmt.Errorf("info: %w", err)
		}
		server := readInfo(c.Options().Addr, text)
		server.Replay = RightsAll
		if server.AOF {
			server.Replay = s.replayRights(ctx, c)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, server)
		return nil
	}
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		err := cluster.ForEachMaster(ctx, ask)
		return all, unavailable(err)
	}
	one, ok := s.client.(*redis.Client)
	if !ok {
		return nil, fmt.Errorf("no servers in a %T", s.client)
	}
	return all, unavailable(ask(ctx, one))
}

// replayRights asks whether the default user may run what the scripts write. A
// restarting server replays MULTI/EXEC, which is how its file holds a script's
// writes, with that user's rights, also if the user is off (redis/redis#14541).
func (s *Store) replayRights(ctx context.Context, c *redis.Client) Rights {
	key := s.keyName("{}")
	for _, command := range [][]any{
		{"HSET", key, "rec", ""}, {"HDEL", key, "rec"}, {"PEXPIREAT", key, 1}, {"SET", key, ""}} {
		answer, err := c.ACLDryRun(ctx, "default", command...).Result()
		if err != nil {
			return RightsUnknown
		}
		if answer != "OK" {
			return RightsMissing
		}
	}
	return RightsAll
}

// readInfo reads INFO's lines NAME:VALUE.
func readInfo(addr, text string) Server {
	said := map[string]string{}
	s := Server{Addr: addr}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		said[name] = value
		// slave0:ip=…,port=…,state=online,offset=…,lag=0
		if strings.HasPrefix(name, "slave") && strings.Contains(value, "state=online") {
			s.Replicas++
		}
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(said[name], 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	s.Version, s.EvictionPolicy, s.Valkey = said["redis_version"], said["maxmemory_policy"], said["valkey_version"]
	s.UsedMemory, s.MaxMemory = number("used_memory"), number("maxmemory")
	s.AOF, s.Loading = said["aof_enabled"] == "1", said["loading"] == "1"
	switch {
	case s.AOF && said["aof_last_write_status"] == "err":
		s.PersistenceError = "log"
	case said["rdb_last_bgsave_status"] == "err":
		s.PersistenceError = "snapshot"
	}
	return s
}
