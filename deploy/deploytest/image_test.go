package deploytest_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// readDeploy reads a file of deploy/.
func readDeploy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestImage_EmptyRoot builds the program with the Dockerfile's script and runs it as the image's
// user in an empty root: no libc, no shell, nothing writable. Only root may change the root
// directory. Other users run it in an empty environment.
func TestImage_EmptyRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	build := exec.Command("sh", "../../deploy/docker/build.sh", filepath.Join(root, "loginhub"))
	build.Env = append(os.Environ(), "VERSION=v9.8.7", "COMMIT=fedcba9876543210")
	if out, err := build.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "loginhub v9.8.7 fedcba987654 go1.") {
		t.Fatalf("build.sh: %s %v", out, err)
	}
	program, err := elf.Open(filepath.Join(root, "loginhub"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	libraries, err := program.ImportedLibraries()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || err != nil || len(libraries) > 0 {
			t.Errorf("not static: %v %v %v", p.Type, libraries, err)
		}
	}
	for path := root; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil { // the other user must enter it
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(root, 0o755) })
	port, admin := hubtest.FreePort(t), hubtest.FreePort(t)
	in := func(args ...string) *exec.Cmd {
		cmd := &exec.Cmd{Path: filepath.Join(root, "loginhub"), Args: append([]string{"loginhub"}, args...), Dir: root,
			Env: []string{"LOGINHUB_LISTEN=127.0.0.1:" + port, "LOGINHUB_ADMIN_LISTEN=127.0.0.1:" + admin}}
		if os.Geteuid() == 0 {
			cmd.Path, cmd.Dir = "/loginhub", "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		}
		return cmd
	}
	node := in()
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Process.Kill(); node.Wait() })
	hubtest.Eventually(t, 20*time.Second, "its health check succeeds", func() bool { return in("health", "--ready").Run() == nil })
	if err := login(hubtest.Context(t, 20*time.Second), "user", "http://127.0.0.1:"+port); err != nil {
		t.Error(err)
	}
	metrics, err := hubtest.Request(hubtest.Context(t, 20*time.Second), "GET", "http://127.0.0.1:"+admin+"/metrics", nil)
	if err != nil || !strings.Contains(string(metrics.Body), `revision="fedcba987654`) || !strings.Contains(string(metrics.Body), `version="v9.8.7"`) {
		t.Errorf("the metrics do not name the release: %v", err)
	}
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Errorf("the node ended with %v", err)
	}
	if err := in("health").Run(); err == nil {
		t.Error("the health check succeeds after the node has ended")
	}
}

func TestImage_Dockerfile(t *testing.T) {
	t.Parallel()
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(readDeploy(t, "Dockerfile"), "")
	build, image, two := strings.Cut(text, "\nFROM scratch\n")
	if !two || strings.Count(text, "FROM ") != 2 {
		t.Fatalf("not two stages:\n%s", text)
	}
	if !regexp.MustCompile(`(?m)^RUN VERSION="\$VERSION" COMMIT="\$COMMIT" sh deploy/docker/build\.sh /out/loginhub$`).MatchString(build) || strings.Count(build, "\nRUN ") != 2 {
		t.Errorf("does not build by build.sh:\n%s", build)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(mod))
	if !strings.Contains(build, "FROM golang:"+version[1]+"-") {
		t.Errorf("go.mod requires Go %s:\n%s", version[1], build)
	}
	for what, pattern := range map[string]string{
		"a user by number, not root": `(?m)^USER [1-9]\d*:[1-9]\d*$`,
		"a health check":             `(?m)^HEALTHCHECK .*CMD \["/loginhub", "health"\]$`,
		"authorities":                `(?m)^COPY --from=build \S+ /etc/ssl/certs/ca-certificates\.crt$`,
		"the program":                `(?m)^ENTRYPOINT \["/loginhub"\]$`,
	} {
		if !regexp.MustCompile(pattern).MatchString(image) {
			t.Errorf("the image lacks %s:\n%s", what, image)
		}
	}
	// The build must not need any file that .dockerignore hides.
	ignored, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	files, err := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}
{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}
{{end}}{{end}}`, "loginhub/cmd/loginhub").Output()
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(strings.Fields(string(files)), top+"/go.sum", top+"/deploy/docker/build.sh") {
		ours, ok := strings.CutPrefix(file, top+"/")
		if !ok {
			continue
		}
		seen++
		for _, pattern := range strings.Fields(string(ignored)) {
			if strings.HasPrefix(ours, pattern+"/") || ours == pattern {
				t.Errorf(".dockerignore hides %s", ours)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d files found: the pattern is wrong", seen)
	}
}
