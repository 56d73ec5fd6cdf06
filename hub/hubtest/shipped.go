package hubtest

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Passwords of the users in the tests' copy of deploy/redis/users.acl: for nodes,
// Sentinels, the operator and replicas.
const (
	HubPassword      = "hunter2"
	SentinelPassword = "watch"
	adminPassword    = "root"
	replicaPassword  = "copy"
)

// shippedRedis copies deploy/redis into a directory of the test, because a server
// rewrites its configuration in a failover. It sets passwords and adds the users for
// replicas and Sentinels from the comment in redis.conf. It returns the configuration's
// path and the options that belong to it.
func shippedRedis(t testing.TB) (conf string, options []string) {
	t.Helper()
	dir := t.TempDir()
	text := shippedFile(t, "redis.conf")
	users := shippedFile(t, "users.acl")
	for user, password := range map[string]string{"loginhub": HubPassword, "admin": adminPassword} {
		unset := "user " + user + " on #" + strings.Repeat("0", 64)
		if !strings.Contains(users, unset) {
			t.Fatalf("users.acl as shipped has no user %s without a password", user)
		}
		users = strings.Replace(users, unset, "user "+user+" on #"+hash(password), 1)
	}
	for user, password := range map[string]string{"replica": replicaPassword, "sentinel": SentinelPassword} {
		rule := regexp.MustCompile(`(?m)^#\s+user ` + user + ` on #HASH (.*)$`).FindStringSubmatch(text)
		if rule == nil {
			t.Fatalf("redis.conf as shipped names no rules for user %s", user)
		}
		users += "user " + user + " on #" + hash(password) + " " + rule[1] + "\n"
	}
	conf, acl := filepath.Join(dir, "redis.conf"), filepath.Join(dir, "users.acl")
	for path, text := range map[string]string{conf: text, acl: users} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return conf, []string{"--aclfile", acl, "--masteruser", "replica", "--masterauth", replicaPassword}
}

// shippedFile returns a file of deploy/redis. It searches above the test's directory,
// because a binary that was built with -trimpath has no path of its source.
func shippedFile(t testing.TB, name string) string {
	t.Helper()
	for up := ""; len(up) < len("../")*8; up += "../" {
		if text, err := os.ReadFile(up + "deploy/redis/" + name); err == nil {
			return string(text)
		}
	}
	t.Fatalf("no deploy/redis/%s above the test's directory", name)
	return ""
}

func hash(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}
