package deploytest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// deployBlock returns the code block of deploy/README.md after <!-- name -->.
func deployBlock(t *testing.T, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(readDeploy(t, "README.md"), "<!-- "+name+" -->\n")
	block := fence.FindStringSubmatch(rest)
	if !found || !strings.HasPrefix(rest, "```") {
		t.Fatalf("deploy/README.md has no block %s", name)
	}
	return block[2]
}

// unitSetting returns every value of a setting of the shipped unit.
func unitSetting(t *testing.T, name string) (values []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllStringSubmatch(readDeploy(t, "systemd/loginhub.service"), -1) {
		values = append(values, m[1])
	}
	return values
}

// analyze runs systemd-analyze on the shipped unit, in a root directory with the unit, the program
// and the standard targets.
func analyze(t *testing.T, edit func(string) string, args ...string) (printed string, err error) {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{"etc/systemd/system/loginhub.service": edit(readDeploy(t, "systemd/loginhub.service")), "usr/local/bin/loginhub": "#!/bin/sh\n", "usr/bin/loginhub": "#!/bin/sh\n", "bin/kill": "#!/bin/sh\n"}
	for _, target := range strings.Fields("sysinit basic shutdown network network-online multi-user") {
		files["etc/systemd/system/"+target+".target"] = "[Unit]\nDescription=placeholder\n"
	}
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"usr/local/bin/loginhub", "usr/bin/loginhub", "bin/kill"} {
		if err := os.Chmod(filepath.Join(root, program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("systemd-analyze", append(args, "--root="+root, "--no-pager", "loginhub.service")...).CombinedOutput()
	return string(out), err
}

func TestSystemd_UnitVerified(t *testing.T) {
	t.Parallel()
	same := func(text string) string { return text }
	if out, err := analyze(t, same, "verify", "--man=no"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("verify: %v %s", err, out)
	}
	typo := func(text string) string { return strings.Replace(text, "NoNewPrivileges=", "NoNewPriviliges=", 1) }
	if out, err := analyze(t, typo, "verify", "--man=no"); err == nil && !strings.Contains(out, "NoNewPriviliges") {
		t.Errorf("verify accepts a broken unit, so the test shows nothing: %s", out)
	}
	// The threshold is of 100: systemd shows 20 and less as good. An unhardened unit has 96.
	if out, err := analyze(t, same, "security", "--offline=yes", "--threshold=12"); err != nil {
		t.Errorf("security: %v %s", err, out)
	}
}

func TestSystemd_UnitFitsProgram(t *testing.T) {
	t.Parallel()
	stop, err := time.ParseDuration(unitSetting(t, "TimeoutStopSec")[0])
	if err != nil || stop < 10*time.Second+10*time.Second {
		t.Errorf("TimeoutStopSec %v is shorter than the drain: %v", stop, err)
	}
	if reload, restart := unitSetting(t, "ExecReload"), unitSetting(t, "Restart"); !slices.Equal(reload, []string{"+/bin/kill -HUP $MAINPID"}) || !slices.Equal(restart, []string{"always"}) {
		t.Errorf("ExecReload %v, Restart %v", reload, restart)
	}
	// The node does not send sd_notify, so Type=notify would time out.
	if kind := unitSetting(t, "Type"); len(kind) != 1 || kind[0] != "exec" {
		t.Errorf("type %v", kind)
	}
	for _, path := range strings.Fields(strings.ReplaceAll(unitSetting(t, "ExecStart")[0], "--config", "") + " " + strings.TrimPrefix(unitSetting(t, "EnvironmentFile")[0], "-")) {
		if !strings.Contains(readDeploy(t, "README.md"), path) {
			t.Errorf("deploy/README.md does not name %s", path)
		}
	}
	// The node needs IPv4 and IPv6, and AF_UNIX for a Redis at unix://.
	for _, family := range []string{"AF_INET", "AF_INET6", "AF_UNIX"} {
		if all := strings.Fields(strings.Join(unitSetting(t, "RestrictAddressFamilies"), " ")); !slices.Contains(all, family) {
			t.Errorf("no %s among %v", family, all)
		}
	}
	if paths := strings.Fields(strings.Join(unitSetting(t, "ExecPaths"), " ")); !slices.Contains(paths, strings.Fields(unitSetting(t, "ExecStart")[0])[0]) {
		t.Errorf("the unit forbids executing the program: %v", paths)
	}
	if subset := unitSetting(t, "ProcSubset"); len(subset) != 0 {
		t.Errorf("ProcSubset=%s hides net.core.somaxconn from the listener", subset)
	}
	files, err := strconv.Atoi(unitSetting(t, "LimitNOFILE")[0])
	if err != nil || files > sysctls(t)["fs.nr_open"][0] {
		t.Errorf("LimitNOFILE=%d is above fs.nr_open: the unit would not start (%v)", files, err)
	}

	// The node starts as the unit starts it, with the documented settings. A stop ends with exit code 0.
	n := hubtest.LaunchWithoutDefaults(t, program, "CONFIG="+documentedConfig(t), "ADMIN_LISTEN=127.0.0.1:"+hubtest.FreePort(t), "DRAIN=1s")
	hubtest.Eventually(t, 20*time.Second, "ready", func() bool { return n.Get("/readyz") == 200 })
	if err := n.Terminate(); err != nil {
		t.Fatal(err)
	}
	if code, err := n.Wait(20 * time.Second); code != 0 || err != nil {
		t.Errorf("the stop ended with %d %v", code, err)
	}
}

// documentedConfig writes the settings of deploy/README.md with the files that they name, and
// returns their path.
func documentedConfig(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text := strings.NewReplacer("/etc/loginhub", dir, "/var/log/loginhub", dir).Replace(deployBlock(t, "loginhub.yaml"))
	for name, content := range map[string]string{"keys": hubtest.Key, "redis-url": hubtest.StartRedis(t).URL, "wechat-secret": "a-secret", "admin-token": strings.Repeat("a", 32), "loginhub.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "loginhub.yaml")
}

// TestSystemd_Check runs the check of deploy/README.md with its settings.
func TestSystemd_Check(t *testing.T) {
	t.Parallel()
	const line = "loginhub check --config /etc/loginhub/loginhub.yaml"
	if !slices.Contains(shellLines(readDeploy(t, "README.md")), line) {
		t.Fatalf("deploy/README.md does not have %s", line)
	}
	down := "http://127.0.0.1:" + hubtest.FreePort(t)
	out, code := hubtest.Run(t, program, []string{"check", "--config", documentedConfig(t)}, "WECHAT_API_URL="+down, "PUBLIC_URL="+down)
	// Neither WeChat nor a node runs.
	if !strings.HasPrefix(findLine(out, "settings"), "ok") || !strings.HasPrefix(findLine(out, "redis mailbox"), "ok") || code != 1 {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// sysctls returns the settings of 99-loginhub.conf: each has one to four numbers.
func sysctls(t *testing.T) map[string][]int {
	t.Helper()
	all := map[string][]int{}
	for _, m := range regexp.MustCompile(`(?m)^([^#\s]\S*) *= *(.*)$`).FindAllStringSubmatch(readDeploy(t, "sysctl/99-loginhub.conf"), -1) {
		for _, word := range strings.FieldsFunc(m[2], func(r rune) bool { return r == ' ' || r == ',' }) {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatalf("%s: %v", m[0], err)
			}
			all[m[1]] = append(all[m[1]], n)
		}
	}
	return all
}

func TestSysctl_Exist(t *testing.T) {
	t.Parallel()
	all := sysctls(t)
	if len(all) < 15 {
		t.Errorf("only %d settings found: the pattern is wrong", len(all))
	}
	for key, values := range all {
		now, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
		list := strings.HasSuffix(key, "_ports") // may be empty and of any length
		if err != nil || !list && len(strings.Fields(string(now))) != len(values) {
			t.Errorf("%s = %v, the kernel has %q %v", key, values, now, err)
		}
	}
	// No outgoing connection may use a port that a shipped server listens on.
	low, high := all["net.ipv4.ip_local_port_range"][0], all["net.ipv4.ip_local_port_range"][1]
	help, _ := hubtest.Run(t, program, []string{"--help"})
	ports := map[string]bool{"6379": true, "26379": true} // Redis and Sentinel
	for _, m := range regexp.MustCompile(`listen="?[\d.]*:(\d+)`).FindAllStringSubmatch(help, -1) {
		ports[m[1]] = true
	}
	if len(ports) != 4 {
		t.Errorf("ports %v: the pattern is wrong", ports)
	}
	for port := range ports {
		if n, _ := strconv.Atoi(port); n >= low && n <= high && !slices.Contains(all["net.ipv4.ip_local_reserved_ports"], n) {
			t.Errorf("an outgoing connection may use port %s before its server starts", port)
		}
	}
	const pages = 1_000_000
	if all["fs.nr_open"][0]*9/10-128 < pages || all["fs.file-max"][0] < all["fs.nr_open"][0] {
		t.Errorf("%v descriptors are too few for %d waiters", all["fs.nr_open"], pages)
	}
}
