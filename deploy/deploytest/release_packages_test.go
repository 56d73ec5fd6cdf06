package deploytest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packageRoot is an empty root directory for a package manager, and a function that runs a line
// as root. Scripts of packages see it as DPKG_ROOT; nothing of the machine is changed.
func packageRoot(t *testing.T) (root string, run func(line string) string) {
	t.Helper()
	root = t.TempDir()
	sudo := ""
	if os.Geteuid() != 0 {
		sudo = "sudo -n "
		t.Cleanup(func() { shell(t, "/", "sudo -n find "+root+" -mindepth 1 -delete") })
	}
	return root, func(line string) string {
		t.Helper()
		return shell(t, root, sudo+line)
	}
}

// checkDebian installs, upgrades, removes and purges by the real dpkg.
func checkDebian(t *testing.T, first, second string) {
	root, run := packageRoot(t)
	run("mkdir -p var/lib/dpkg/info var/lib/dpkg/updates")
	run("touch var/lib/dpkg/status")
	dpkg := "env PATH=$PATH:/usr/sbin:/sbin dpkg --root=" + root + " --force-script-chrootless --force-depends "
	const settings = "etc/loginhub/loginhub.yaml"
	if out := run(dpkg + "--install " + first); !strings.Contains(out, "systemctl enable --now loginhub") {
		t.Errorf("the installation does not say what to do: %s", out)
	}
	unit := run("cat usr/lib/systemd/system/loginhub.service")
	if out, err := analyze(t, func(string) string { return unit }, "verify", "--man=no"); err != nil || strings.TrimSpace(out) != "" || !strings.Contains(unit, "ExecStart=/usr/bin/loginhub ") {
		t.Errorf("verify: %v %s", err, out)
	}
	group := strings.Split(run("grep ^loginhub: etc/group"), ":")[2]
	if got := run("stat -c '%n %a %u:%g' etc/loginhub " + settings); got != "etc/loginhub 750 0:"+group+"\n"+settings+" 640 0:"+group+"\n" || group == "0" {
		t.Errorf("user %s, files %s", run("cat etc/passwd"), got)
	}
	if out := run("stat -c %a usr/share/doc/loginhub/deploy/prometheus/alerts.yaml usr/share/doc/loginhub/deploy"); out != "644\n755\n" {
		t.Errorf("modes of documents: %s", out)
	}
	if out := run("usr/bin/loginhub version"); !strings.HasPrefix(out, "loginhub v9.8.7 ") {
		t.Error(out)
	}
	run("sh -c 'echo drain: 7s >> " + settings + "; echo secret > etc/loginhub/keys'")
	run(dpkg + "--install " + second) // dpkg asks; its default, an empty line, keeps the file
	if out := run("usr/bin/loginhub version"); !strings.HasPrefix(out, "loginhub v9.8.8 ") {
		t.Error(out)
	}
	if kept, offered := run("tail -n 1 "+settings), run("tail -n 1 "+settings+".dpkg-dist"); kept != "drain: 7s\n" || offered != "# a new comment\n" {
		t.Errorf("after the upgrade the file ends with %q, the new one with %q", kept, offered)
	}
	run(dpkg + "--remove loginhub")
	if out := run("find . -name keys -o -path ./usr/bin/loginhub"); out != "./etc/loginhub/keys\n" {
		t.Errorf("after the removal: %s", out)
	}
	run(dpkg + "--purge loginhub")
	if _, err := os.Stat(filepath.Join(root, "etc/loginhub")); !os.IsNotExist(err) {
		t.Errorf("a purge leaves secrets: %v", err)
	}
}

// checkRPM installs and upgrades by the real rpm, without the scripts, which need a shell in the
// root. checkDebian runs the same scripts.
func checkRPM(t *testing.T, first, second string) {
	root, run := packageRoot(t)
	rpm := "rpm --root=" + root + " --nodeps --noscripts --nosignature "
	const settings = "etc/loginhub/loginhub.yaml"
	run(rpm + "--install " + first)
	run("sh -c 'echo drain: 7s >> " + settings + "'")
	run(rpm + "--upgrade " + second)
	if kept, offered := run("tail -n 1 "+settings), run("tail -n 1 "+settings+".rpmnew"); kept != "drain: 7s\n" || offered != "# a new comment\n" {
		t.Errorf("after the upgrade the file ends with %q, the new one with %q", kept, offered)
	}
	if out := run("usr/bin/loginhub version"); !strings.HasPrefix(out, "loginhub v9.8.8 ") {
		t.Error(out)
	}
	if out := run("rpm -qp --nosignature --queryformat '%{VERSION}-%{RELEASE} %{ARCH} %{BUILDTIME} %{BUILDHOST}' " + first); out != "9.8.7-1 x86_64 1795910400 localhost" {
		t.Error(out)
	}
}

// TestRelease_GroupElsewhere: the group may be one of LDAP, which is not in /etc/group.
func TestRelease_GroupElsewhere(t *testing.T) {
	stubs := t.TempDir()
	for name, line := range map[string]string{"systemd-sysusers": "", "systemctl": "", "sed": "", "chgrp": `echo "group $1"`} {
		if err := os.WriteFile(filepath.Join(stubs, name), []byte("#!/bin/sh\n"+line+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if out := shell(t, ".", "env -u DPKG_ROOT PATH="+stubs+":$PATH sh ../release/postinstall.sh configure"); !strings.HasPrefix(out, "group loginhub\n") {
		t.Error(out)
	}
}
