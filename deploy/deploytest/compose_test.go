package deploytest_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"loginhub/hub/hubtest"
)

// The types hold the part of the Compose specification that compose.yaml uses. Anything else in the
// file is an error. https://github.com/compose-spec/compose-spec
type (
	compose struct {
		Name     string
		Hub      composeService `yaml:"x-hub"`
		Services map[string]composeService
		Secrets  map[string]struct{ File string }
		Volumes  map[string]struct{}
		Networks map[string]struct {
			Internal bool
			Ipam     struct {
				Config []struct{ Subnet string }
			}
		}
	}
	composeService struct {
		Image       string
		Build       struct{ Context, Dockerfile string }
		User        string
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		SecurityOpt []string `yaml:"security_opt"`
		Restart     string
		Grace       time.Duration `yaml:"stop_grace_period"`
		Ulimits     map[string]struct{ Soft, Hard int }
		Environment map[string]string
		Secrets     []composeSecret
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		Healthcheck struct {
			Test              []string
			Interval, Timeout time.Duration
			StartPeriod       time.Duration `yaml:"start_period"`
		}
		Networks map[string]struct {
			Address string `yaml:"ipv4_address"`
		}
		Command, Ports, Volumes, Tmpfs []string
	}
	composeSecret struct{ Source, Target string }
)

// UnmarshalYAML also accepts the short form, a name.
func (s *composeSecret) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		s.Source = n.Value
		return nil
	}
	type long composeSecret
	return n.Decode((*long)(s))
}

func readCompose(t *testing.T) *compose {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(readDeploy(t, "compose.yaml")))
	d.KnownFields(true)
	c := &compose{}
	if err := d.Decode(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// settingNames returns the names of all settings in --help.
func settingNames(t *testing.T) map[string]bool {
	t.Helper()
	help, code := hubtest.Run(t, program, []string{"--help"})
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`\$(LOGINHUB_\w+)\)`).FindAllStringSubmatch(help, -1) {
		names[m[1]] = true
	}
	if code != 0 || len(names) < 30 {
		t.Fatalf("%d settings in --help: %s", len(names), help)
	}
	return names
}

func TestCompose_Consistent(t *testing.T) {
	t.Parallel()
	c, known := readCompose(t), settingNames(t)
	for name, s := range c.Services {
		if !regexp.MustCompile(`^[a-z/-]+:[\w.-]+$`).MatchString(s.Image) || strings.HasSuffix(s.Image, ":latest") {
			t.Errorf("%s: image %q has no version", name, s.Image)
		}
		if !s.ReadOnly || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(s.User) || !slices.Equal(s.CapDrop, []string{"ALL"}) ||
			!slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) || len(s.Healthcheck.Test) < 2 || s.Healthcheck.Interval == 0 || s.Restart == "" {
			t.Errorf("%s is not confined or has no health check: %+v", name, s)
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if _, declared := c.Volumes[source]; declared {
				continue
			}
			if _, err := os.Stat("../../deploy/" + source); err != nil || !strings.HasSuffix(v, ":ro") {
				t.Errorf("%s mounts %s: %v", name, v, err)
			}
		}
		for _, secret := range s.Secrets {
			if _, ok := c.Secrets[secret.Source]; !ok {
				t.Errorf("%s uses a secret %s that is not declared", name, secret.Source)
			}
		}
		for network, at := range s.Networks {
			declared, ok := c.Networks[network]
			if !ok {
				t.Errorf("%s uses a network %s that is not declared", name, network)
			}
			if at.Address != "" && !netip.MustParsePrefix(declared.Ipam.Config[0].Subnet).Contains(netip.MustParseAddr(at.Address)) {
				t.Errorf("%s: %s is not in %s", name, at.Address, network)
			}
		}
		for other, is := range s.DependsOn {
			if _, ok := c.Services[other]; !ok || is.Condition != "service_healthy" {
				t.Errorf("%s depends on %s being %s", name, other, is.Condition)
			}
		}
		for setting := range s.Environment {
			if !known[setting] {
				t.Errorf("%s: %s is no setting", name, setting)
			}
		}
	}
}

// TestCompose_Hubs compares the hubs with nginx and with the runbook.
func TestCompose_Hubs(t *testing.T) {
	t.Parallel()
	c, book := readCompose(t), readDeploy(t, "RUNBOOK.md")
	var hubs []string
	for name, s := range c.Services {
		if !strings.HasPrefix(name, "hub") {
			continue
		}
		hubs = append(hubs, name+":8080")
		drain, err := time.ParseDuration(s.Environment["LOGINHUB_DRAIN"])
		if err != nil || s.Grace < drain+12*time.Second || s.Ulimits["nofile"].Soft < 1024 || s.Build.Dockerfile != "deploy/Dockerfile" || s.Build.Context != ".." {
			t.Errorf("%s: %+v %v", name, s, err)
		}
		if !slices.Equal(s.Healthcheck.Test, []string{"CMD", "/loginhub", "health"}) {
			t.Errorf("%s has the health check %q", name, s.Healthcheck.Test)
		}
		proxy := c.Services["nginx"].Networks["front"].Address
		if s.Environment["LOGINHUB_TRUSTED_PROXIES"] != proxy+"/32" {
			t.Errorf("%s trusts %s; nginx is %s", name, s.Environment["LOGINHUB_TRUSTED_PROXIES"], proxy)
		}
	}
	// The runbook's kill switch is at an address that neither the world nor nginx can reach.
	for name := range c.Services["nginx"].Networks {
		if c.Networks[name].Internal {
			t.Errorf("nginx is in the network %s and can reach the kill switch", name)
		}
	}
	for i := 1; i <= 3; i++ {
		s := c.Services[fmt.Sprint("hub", i)]
		at := s.Networks["back"].Address + ":9090"
		if !c.Networks["back"].Internal || s.Environment["LOGINHUB_ADMIN_LISTEN"] != at || !strings.Contains(book, at) {
			t.Errorf("hub%d's admin address is %s, not %s, or the runbook does not name it", i, s.Environment["LOGINHUB_ADMIN_LISTEN"], at)
		}
	}
	for _, m := range regexp.MustCompile(`docker run --rm --network (\w+) `).FindAllStringSubmatch(book, -1) {
		if network, ok := strings.CutPrefix(m[1], c.Name+"_"); !ok || !c.Networks[network].Internal {
			t.Errorf("the runbook's %s is not a network of the file", m[0])
		}
	}
	slices.Sort(hubs)
	upstreams := regexp.MustCompile(`(?s)upstream (\w+) \{.*?\n\}`).FindAllStringSubmatch(readDeploy(t, "nginx/loginhub.conf"), -1)
	if len(hubs) != 3 || len(upstreams) != 2 {
		t.Errorf("%d hubs, %d upstreams", len(hubs), len(upstreams))
	}
	for _, u := range upstreams {
		named := map[string][]string{} // key: their parameters
		for _, m := range regexp.MustCompile(`(?m)^    server (\S+) (.*);$`).FindAllStringSubmatch(u[0], -1) {
			named[m[2]] = append(named[m[2]], m[1])
		}
		for parameters, servers := range named {
			if !slices.Equal(hubs, servers) {
				t.Errorf("upstream %s has %v with %s, the hubs are %v", u[1], servers, parameters, hubs)
			}
		}
	}
}

func TestCompose_NginxLimitsAndLog(t *testing.T) {
	t.Parallel()
	// nginx's own limits must be enough for its sockets, two descriptors each.
	main, nginx := readDeploy(t, "nginx/nginx.conf"), readCompose(t).Services["nginx"]
	most := func(name string) (n int) {
		if m := regexp.MustCompile(name + ` (\d+);`).FindStringSubmatch(main); m != nil {
			n, _ = strconv.Atoi(m[1]) // digits
		}
		return n
	}
	if files := most("worker_rlimit_nofile"); most("worker_connections") < 10_000 || files < 2*most("worker_connections") || nginx.Ulimits["nofile"].Hard < files ||
		!slices.Contains(nginx.Volumes, "./nginx/nginx.conf:/etc/nginx/nginx.conf:ro") {
		t.Errorf("nginx: %d connections, %d files a worker, %+v", most("worker_connections"), files, nginx)
	}
	// nginx must not log a query, which has WeChat's one-time codes, nor what names the browser.
	if logged := regexp.MustCompile(`(?s)log_format .*?;`).FindString(main); !strings.Contains(logged, "$uri") ||
		regexp.MustCompile(`\$(request|request_uri|args|query_string|http_\w+)\W`).MatchString(logged) {
		t.Errorf("nginx logs more than address, path and result: %s", logged)
	}
}

// makeSecrets runs secrets.sh and returns all secrets.
func makeSecrets(t *testing.T, c *compose, dir string) (all string) {
	t.Helper()
	if out, err := exec.Command("sh", "../../deploy/docker/secrets.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		all += readFile(t, filepath.Join(dir, filepath.Base(c.Secrets[name].File)))
	}
	return all
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCompose_Login runs what compose.yaml describes without Docker: the secrets of secrets.sh,
// Redis and nginx with the mounted files, and three hubs with the file's environment.
func TestCompose_Login(t *testing.T) {
	t.Parallel()
	c, dir := readCompose(t), t.TempDir()
	if first := makeSecrets(t, c, dir); makeSecrets(t, c, dir) != first {
		t.Error("a second run replaced the secrets")
	}
	// The owner appends a new key, as the runbook describes. The containers' users can read the
	// file.
	file := filepath.Join(dir, "keys")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("keys: %v %v", info.Mode(), err)
	}
	if out, err := exec.Command("sh", "-c", program+" keygen >> "+file).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	redis := hubtest.StartRedisAs(t, "health", "any", "../../deploy/redis/redis.conf", "--aclfile", filepath.Join(dir, "users.acl"))
	if out := redisAs(t, redis, "health", "any", "PING"); out != "PONG" {
		t.Errorf("the health check of Redis got %s", out)
	}
	if out := redisAs(t, redis, "admin", strings.TrimSpace(readFile(t, filepath.Join(dir, "redis-admin"))), "ACL", "WHOAMI"); out != "admin" {
		t.Errorf("Redis's operator got %s", out)
	}
	here := hubtest.WriteFile(t, "redis-url", strings.Replace(readFile(t, filepath.Join(dir, "redis-url")), "redis:6379", redis.Addr, 1))
	var addrs []string
	for name, s := range c.Services {
		if !strings.HasPrefix(name, "hub") {
			continue
		}
		settings := []string{"ADMIN_LISTEN=", "RATE_LIMIT=0"}
		for setting, value := range s.Environment {
			switch setting {
			case "LOGINHUB_REDIS_URL_FILE":
				value = here
			case "LOGINHUB_KEYS_FILE", "LOGINHUB_ADMIN_TOKEN_FILE":
				value = filepath.Join(dir, filepath.Base(value))
			case "LOGINHUB_TRUSTED_PROXIES":
				value = "127.0.0.1"
			case "LOGINHUB_ADMIN_LISTEN":
				continue
			}
			settings = append(settings, strings.TrimPrefix(setting, "LOGINHUB_")+"="+value)
		}
		n := hubtest.LaunchWithoutDefaults(t, program, settings...)
		hubtest.Eventually(t, 20*time.Second, "ready", func() bool { return n.Get("/readyz") == 200 })
		addrs = append(addrs, strings.TrimPrefix(n.URL, "http://"))
		if a, err := hubtest.Request(hubtest.Context(t, 20*time.Second), "GET", n.URL+"/.well-known/jwks.json", nil); err != nil || strings.Count(string(a.Body), `"kid"`) != 4 {
			t.Errorf("a node with both keys publishes, each for two algorithms: %s %v", a.Body, err)
		}
	}
	public := hubtest.StartNginxWithMain(t, "../../deploy/nginx/nginx.conf", "../../deploy/nginx/loginhub.conf", addrs, nil)
	ctx := hubtest.Context(t, 30*time.Second)
	for _, user := range []string{"小明", "小红", "小刚"} {
		if err := login(ctx, user, public); err != nil {
			t.Error(err)
		}
	}
}

// TestNginx_DocumentedTwoNodes runs deploy/README.md's sed: each node is in the file three times.
func TestNginx_DocumentedTwoNodes(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`(?m)^(sed .* deploy/nginx/loginhub\.conf) > /etc/nginx/conf\.d/`).FindStringSubmatch(readDeploy(t, "README.md"))
	if line == nil {
		t.Fatal("deploy/README.md has no sed for nginx")
	}
	run := exec.Command("sh", "-c", line[1])
	run.Dir = "../.."
	out, err := run.CombinedOutput()
	servers := regexp.MustCompile(`(?m)^ *server (\S+) max_fails`).FindAllStringSubmatch(string(out), -1)
	count := map[string]int{}
	for _, m := range servers {
		count[m[1]]++
	}
	if want := map[string]int{"10.0.0.11:8080": 3, "10.0.0.12:8080": 3}; err != nil || !maps.Equal(count, want) {
		t.Errorf("%v %v", count, err)
	}
}

// TestNginx_DocumentedTLS enables the TLS lines of nginx's comments.
func TestNginx_DocumentedTLS(t *testing.T) {
	t.Parallel()
	ca := hubtest.NewCA(t)
	cert, key := ca.Issue(t, "nginx", time.Now().Add(60*24*time.Hour), "localhost")
	n := hubtest.StartNode(t, program, "PUBLIC_URL=https://localhost", "SANDBOX=true", "REDIS_URL=embedded")
	port, plain := hubtest.FreePort(t), hubtest.FreePort(t)
	hubtest.StartNginx(t, "../../deploy/nginx/loginhub.conf", []string{strings.TrimPrefix(n.URL, "http://")}, func(text string) string {
		shown := regexp.MustCompile(`(?m)^    #     (\S.*)$`).FindAllStringSubmatch(text, -1)
		var lines []string
		for _, m := range shown {
			lines = append(lines, m[1])
		}
		secure, redirect := strings.Join(lines[:len(lines)-1], "\n"), lines[len(lines)-1]
		for old, now := range map[string]string{"listen 443 ssl": "listen 127.0.0.1:" + port + " ssl", "/etc/nginx/tls/tls.crt": cert, "/etc/nginx/tls/tls.key": key} {
			if !strings.Contains(secure, old) {
				t.Errorf("no %s in the comments: %s", old, secure)
			}
			secure = strings.Replace(secure, old, now, 1)
		}
		text = strings.Replace(text, "    client_max_body_size", secure+"\n    client_max_body_size", 1)
		return text + strings.Replace(redirect, "listen 80;", "listen 127.0.0.1:"+plain+";", 1)
	})
	out, code := hubtest.RunTrusting(t, program, ca.CertFile, []string{"check"}, "PUBLIC_URL=https://localhost:"+port, "REDIS_URL=embedded", "SANDBOX=true")
	if code != 0 || !strings.HasPrefix(findLine(out, "websocket"), "ok") || !strings.Contains(out, "TLS 1.3") {
		t.Errorf("%d\n%s", code, out)
	}
	answer, err := http.DefaultTransport.RoundTrip(httptest.NewRequest("GET", "http://127.0.0.1:"+plain+"/s/x", nil)) // does not follow redirects
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 308 || answer.Header.Get("Location") != "https://127.0.0.1/s/x" {
		t.Errorf("without https: %s %s", answer.Status, answer.Header.Get("Location"))
	}
}
