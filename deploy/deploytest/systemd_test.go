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

// unitText returns the shipped unit and deploy/README.md's drop-in for WeChat.
func unitText(t *testing.T) string {
	t.Helper()
	return readDeploy(t, "systemd/loginhub.service") + deployBlock(t, "wechat.conf")
}

// unitSetting returns every value of a setting of the unit with the drop-in.
func unitSetting(t *testing.T, name string) (values []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllStringSubmatch(unitText(t), -1) {
		values = append(values, m[1])
	}
	return values
}

// analyze runs systemd-analyze on the shipped unit, in a root directory with the unit, the program
// and the standard targets.
func analyze(t *testing.T, edit func(string) string, args ...string) (printed string, err error) {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{"etc/systemd/system/loginhub.service": edit(readDeploy(t, "systemd/loginhub.service")), "usr/local/bin/loginhub": "#!/bin/sh\n", "bin/kill": "#!/bin/sh\n"}
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
	for _, program := range []string{"usr/local/bin/loginhub", "bin/kill"} {
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
	known, loaded := settingNames(t), strings.Join(unitSetting(t, "LoadCredential"), "\n")
	settings := strings.Fields(strings.Join(unitSetting(t, "Environment"), " "))
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		credential, ok := strings.CutPrefix(value, "%d/")
		if !known[name] || !ok || !regexp.MustCompile(`(?m)^`+credential+`:/etc/loginhub/secrets/`).MatchString(loaded) {
			t.Errorf("%s is not a setting, or no LoadCredential has it", s)
		}
	}
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
	for _, path := range append(unitSetting(t, "ExecStart"), unitSetting(t, "EnvironmentFile")...) {
		if !strings.Contains(readDeploy(t, "README.md"), "`"+path+"`") {
			t.Errorf("deploy/README.md does not name %s", path)
		}
	}
	// The node needs IPv4 and IPv6, and AF_UNIX for a Redis at unix://.
	for _, family := range []string{"AF_INET", "AF_INET6", "AF_UNIX"} {
		if all := strings.Fields(strings.Join(unitSetting(t, "RestrictAddressFamilies"), " ")); !slices.Contains(all, family) {
			t.Errorf("no %s among %v", family, all)
		}
	}
	if paths := strings.Fields(strings.Join(unitSetting(t, "ExecPaths"), " ")); !slices.Contains(paths, unitSetting(t, "ExecStart")[0]) {
		t.Errorf("the unit forbids executing the program: %v", paths)
	}
	if subset := unitSetting(t, "ProcSubset"); len(subset) != 0 {
		t.Errorf("ProcSubset=%s hides net.core.somaxconn from the listener", subset)
	}
	files, err := strconv.Atoi(unitSetting(t, "LimitNOFILE")[0])
	if err != nil || files > sysctls(t)["fs.nr_open"][0] {
		t.Errorf("LimitNOFILE=%d is above fs.nr_open: the unit would not start (%v)", files, err)
	}

	// The node starts as the unit starts it, with the documented settings: secrets are files of the
	// credentials' directory, it has no file of its own. A stop ends with exit code 0.
	dir := t.TempDir()
	redis := hubtest.StartRedis(t)
	var given []string
	for _, s := range settings {
		given = append(given, strings.TrimPrefix(strings.Replace(s, "%d", dir, 1), "LOGINHUB_"))
	}
	for _, line := range shellLines("```sh\n" + deployBlock(t, "env") + "```") {
		given = append(given, strings.TrimPrefix(strings.Replace(line, "/etc/loginhub", dir, 1), "LOGINHUB_"))
	}
	for name, secret := range map[string]string{"keys": hubtest.Key, "redis-url": redis.URL, "wechat": "a-secret", "clients.yaml": deployBlock(t, "clients.yaml")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret+"\n"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	n := hubtest.LaunchWithoutDefaults(t, program, append(given, "ADMIN_LISTEN=", "DRAIN=1s")...)
	hubtest.Eventually(t, 20*time.Second, "ready", func() bool { return n.Get("/readyz") == 200 })
	if err := n.Terminate(); err != nil {
		t.Fatal(err)
	}
	if code, err := n.Wait(20 * time.Second); code != 0 || err != nil {
		t.Errorf("the stop ended with %d %v", code, err)
	}
}

// TestSystemd_Check runs the shell line of deploy/README.md, with credentials as systemd lays them
// out and WeChat configured as the drop-in says.
func TestSystemd_Check(t *testing.T) {
	t.Parallel()
	call := regexp.MustCompile(`(?m)^systemd-run (?s:.*?)sh -c '([^']*)'$`).FindStringSubmatch(readDeploy(t, "README.md"))
	if call == nil {
		t.Fatal("deploy/README.md has no check command")
	}
	dir := t.TempDir()
	redis := hubtest.StartRedis(t)
	secrets := map[string]string{"keys": hubtest.Key, "redis-url": redis.URL, "wechat": "a-secret"}
	for _, m := range regexp.MustCompile(`LoadCredential=([\w-]+):/etc/loginhub/secrets/([\w-]+)`).FindAllStringSubmatch(unitText(t), -1) {
		if secrets[m[1]] == "" || !strings.Contains(call[0], "-p "+m[0]) {
			t.Errorf("the unit loads %s, but its check does not", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`-p LoadCredential=([\w-]+):`).FindAllStringSubmatch(call[0], -1) {
		if err := os.WriteFile(filepath.Join(dir, m[1]), []byte(secrets[m[1]]+"\n"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	down := "http://127.0.0.1:" + hubtest.FreePort(t)
	check := exec.Command("sh", "-c", call[1])
	check.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "CREDENTIALS_DIRECTORY="+dir,
		"LOGINHUB_WECHAT_APP_ID=wx0123456789abcdef", "LOGINHUB_WECHAT_API_URL="+down, "LOGINHUB_PUBLIC_URL="+down)
	out, _ := check.CombinedOutput() // exit code 1: neither WeChat nor a node runs
	if !strings.HasPrefix(findLine(string(out), "settings"), "ok") || !strings.HasPrefix(findLine(string(out), "redis mailbox"), "ok") || check.ProcessState.ExitCode() != 1 {
		t.Errorf("%v\n%s", check.ProcessState, out)
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
