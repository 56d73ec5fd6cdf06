package deploytest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/hubtest"
)

// startRedisTLS starts a redis-server that accepts only clients with a certificate of that CA. Its
// plain port is for the test. secure is its TLS port.
func startRedisTLS(t *testing.T, ca *hubtest.CA, args ...string) (server *hubtest.Redis, secure string) {
	t.Helper()
	cert, key := ca.Issue(t, "redis", time.Now().Add(time.Hour), "127.0.0.1")
	secure = hubtest.FreePort(t)
	return hubtest.StartRedis(t, append([]string{"--tls-port", secure, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", ca.CertFile, "--tls-auth-clients", "yes", "--tls-replication", "yes"}, args...)...), secure
}

// requireNotReady starts a node with settings that must not make it ready, and waits for the reason
// in its log.
func requireNotReady(t *testing.T, why string, settings ...string) {
	t.Helper()
	t.Helper()
	n := hubtest.LaunchNode(t, program, settings...)
	hubtest.Eventually(t, 20*time.Second, "the log has "+why, func() bool { return strings.Contains(n.Log(), why) })
	if n.Get("/readyz") == 200 {
		t.Errorf("the node is ready despite %s", why)
	}
}

func TestRedisTLS_ClientCertificate(t *testing.T) {
	t.Parallel()
	ca, foreign := hubtest.NewCA(t), hubtest.NewCA(t)
	_, port := startRedisTLS(t, ca)
	cert, key := ca.Issue(t, "hub", time.Now().Add(time.Hour))
	wrong, wrongKey := foreign.Issue(t, "hub", time.Now().Add(time.Hour))
	at := "rediss://loginhub:" + hubtest.HubPassword + "@127.0.0.1:" + port
	url := "REDIS_URL=" + at
	loginOnThreeNodes(t, &hubtest.Redis{URL: at}, "REDIS_CA="+ca.CertFile, "REDIS_CERT="+cert, "REDIS_KEY="+key)

	requireNotReady(t, "unknown authority", url, "REDIS_CERT="+cert, "REDIS_KEY="+key)
	requireNotReady(t, "unknown authority", url, "REDIS_CA="+foreign.CertFile, "REDIS_CERT="+cert, "REDIS_KEY="+key)
	requireNotReady(t, "certificate required", url, "REDIS_CA="+ca.CertFile)
	requireNotReady(t, "remote error: tls", url, "REDIS_CA="+ca.CertFile, "REDIS_CERT="+wrong, "REDIS_KEY="+wrongKey)
	requireNotReady(t, "wanted to match localhost", strings.Replace(url, "127.0.0.1", "localhost", 1), "REDIS_CA="+ca.CertFile, "REDIS_CERT="+cert, "REDIS_KEY="+key)
}

func TestRedisTLS_Errors(t *testing.T) {
	t.Parallel()
	ca := hubtest.NewCA(t)
	cert, key := ca.Issue(t, "hub", time.Now().Add(time.Hour))
	for name, c := range map[string]struct{ wantText, settings string }{
		"certificate without key":   {"LOGINHUB_REDIS_KEY", "REDIS_URL=rediss://h REDIS_CERT=" + cert},
		"no TLS":                    {"rediss://", "REDIS_URL=redis://h REDIS_CA=" + ca.CertFile},
		"a certificate without TLS": {"rediss://", "REDIS_URL=redis://h REDIS_CERT=" + cert + " REDIS_KEY=" + key},
		"no such file":              {"/nowhere/ca.pem", "REDIS_URL=rediss://h REDIS_CA=/nowhere/ca.pem"},
		"no CA":                     {"no PEM certificate", "REDIS_URL=rediss://h REDIS_CA=" + key},
		"another certificate's key": {"LOGINHUB_REDIS_CERT", "REDIS_URL=rediss://h REDIS_CERT=" + cert + " REDIS_KEY=" + ca.CertFile},
		"embedded store":            {"rediss://", "REDIS_CA=" + ca.CertFile},
		"an invalid scheme":         {"rediss://", "REDIS_URL=rediss-not://h REDIS_CA=" + ca.CertFile},
	} {
		out, code := hubtest.Run(t, program, nil, append(strings.Fields(c.settings), "KEYS="+hubtest.Key)...)
		if code != 2 || !strings.Contains(out, c.wantText) {
			t.Errorf("%s: %d %s", name, code, out)
		}
	}
}

// TestRedisTLS_Sentinel: the Sentinel has a password, the master has another user and password.
// Each certificate is checked against the server's own address.
func TestRedisTLS_Sentinel(t *testing.T) {
	t.Parallel()
	ca := hubtest.NewCA(t)
	_, master := startRedisTLS(t, ca)
	cert, key := ca.Issue(t, "sentinel", time.Now().Add(time.Hour), "localhost")
	own, ownKey := ca.Issue(t, "hub", time.Now().Add(time.Hour))
	plain, secure, dir := hubtest.FreePort(t), hubtest.FreePort(t), t.TempDir()
	conf := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %s\ntls-port %s\nbind 127.0.0.1\ndir %s\ntls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\ntls-replication yes\n"+
		"requirepass watch\nsentinel monitor hub 127.0.0.1 %s 1\nsentinel auth-user hub sentinel\nsentinel auth-pass hub %s\n",
		plain, secure, dir, cert, key, ca.CertFile, master, hubtest.SentinelPassword)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", conf, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	look := redis.NewSentinelClient(&redis.Options{Addr: "127.0.0.1:" + plain, Password: "watch", DisableIdentity: true})
	t.Cleanup(func() { look.Close() })
	hubtest.Eventually(t, 20*time.Second, "the sentinel finds the master", func() bool {
		m, err := look.Master(hubtest.Context(t, 5*time.Second), "hub").Result()
		return err == nil && m["flags"] == "master"
	})
	// The Sentinel's certificate has a name, the master's an address. Neither has both.
	url := func(password string) string {
		return "rediss://:" + password + "@localhost:" + secure + "/0?master_name=hub&username=loginhub&password=" + hubtest.HubPassword
	}
	loginOnThreeNodes(t, &hubtest.Redis{URL: url("watch")}, "REDIS_CA="+ca.CertFile, "REDIS_CERT="+own, "REDIS_KEY="+ownKey)
	requireNotReady(t, "all sentinels", "REDIS_URL="+url("guess"), "REDIS_CA="+ca.CertFile, "REDIS_CERT="+own, "REDIS_KEY="+ownKey)
}
