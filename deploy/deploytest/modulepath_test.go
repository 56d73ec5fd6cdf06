package deploytest_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestModulePath_Rewritten gives a copy of the tree another module path, and then a third,
// and builds the result.
func TestModulePath_Rewritten(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	run := func(dir, line string) string {
		t.Helper()
		cmd := exec.Command("sh", "-ec", line)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return string(out)
	}
	run("../..", "git ls-files -co --exclude-standard | tar -c --ignore-failed-read -T - | tar -x -C "+tree)
	run(tree, "sh deploy/module-path.sh example.com/first && sh deploy/module-path.sh example.com/team/loginhub")
	for _, path := range strings.Fields(run(tree, "go list -deps ./... && go -C deploy/examples/go list -deps ./...")) {
		if strings.HasPrefix(path, "loginhub") || strings.HasPrefix(path, "example.com/first") {
			t.Errorf("%s has its former path", path)
		}
	}
	// The result is not run, so all of it is built without optimisation, which takes most of a build's time. The
	// list above has found what every package imports.
	run(tree, `export GOFLAGS="-trimpath '-gcflags=example.com/...=-N -l'"
		go build -ldflags='-s -w' -o /dev/null ./cmd/loginhub && go vet ./hub/hubtest ./api/token && go -C api/token/verify vet . &&
		go -C deploy/examples/go build -o site . && go test ./deploy/deploytest/sources`)
	if out, err := exec.Command("sh", tree+"/deploy/module-path.sh", "exa mple").CombinedOutput(); err == nil {
		t.Errorf("a path with a space is accepted: %s", out)
	}
}
