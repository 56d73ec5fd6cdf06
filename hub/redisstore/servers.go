package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Server describes one master, from its INFO. Fields that INFO lacks are empty or 0.
type Server struct {
	Addr             string
	Version          string // of Redis; a Valkey reports the Redis version that it is compatible with
	Valkey           string // Valkey's own version; "" for Redis
	EvictionPolicy   string // maxmemory-policy
	UsedMemory       int64  // bytes
	MaxMemory        int64  // maxmemory in bytes; 0: no limit
	AOF              bool   // whether the append-only file is on
	PersistenceError string // what cannot be written to disk: "log" or "snapshot"
	Loading          bool   // the server is loading its dataset and refuses commands
	Replicas         int    // connected replicas that are in step
	// Replay says whether the server's default user may run what the append-only file
	// replays: RightsAll if there is no such file.
	Replay Rights
}

// Rights says whether a Redis user may do something.
type Rights int

const (
	RightsUnknown Rights = iota // the server does not say
	RightsAll
	RightsMissing
)

// Servers asks every master: one, or several in a Cluster.
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

// replayRights checks whether the default user may run what the scripts write. The
// append-only file stores a script's writes as MULTI/EXEC. A restarting server replays
// them with the rights of the default user, even if that user is off
// (redis/redis#14541).
func (s *Store) replayRights(ctx context.Context, c *redis.Client) Rights {
	key := s.names().key("{}")
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

// readInfo parses the lines NAME:VALUE of INFO.
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
