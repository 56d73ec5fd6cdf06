package hubtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// SkewVariable says by how many seconds the wall clock of a program from
// BuildSkewed is off.
const SkewVariable = "HUBTEST_CLOCK_SKEW"

// skewed is what BuildSkewed adds to package time: the monotonic clock stays.
const skewed = `
var hubtestSkew = func() (seconds int64) {
	text, _ := syscall.Getenv("` + SkewVariable + `")
	sign := int64(1)
	for _, c := range text {
		if c == '-' {
			sign = -1
		} else {
			seconds = 10*seconds + int64(c-'0')
		}
	}
	return sign * seconds
}()
`

// BuildSkewed builds the program, in dir, on a standard library whose time.Now is off by
// what SkewVariable says (go build -overlay). The first build takes a minute, for
// everything depends on package time; later ones come from Go's cache. It is
// without the race detector, which would double that.
func BuildSkewed(t testing.TB, dir string) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	const now = "\tsec, nsec, mono := runtimeNow()\n"
	head, tail, _ := strings.Cut(string(text), "\nfunc Now() Time {\n")
	if !strings.HasPrefix(tail, now) || !strings.Contains(head, "\t\"math/bits\"\n") {
		t.Fatal("package time of this Go is another one than expected")
	}
	head = strings.Replace(head, "\t\"math/bits\"\n", "\t\"math/bits\"\n\t\"syscall\"\n", 1)
	edited := head + "\nfunc Now() Time {\n" + now + "\tsec += hubtestSkew\n" + strings.TrimPrefix(tail, now) + skewed
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: filepath.Join(dir, "time.go")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"time.go": edited, "overlay.json": string(overlay)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "loginhub-skewed")
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "loginhub/cmd/loginhub")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build -overlay: %v\n%s", err, out)
	}
	return program
}

// Skewed is the line of shell before a program from BuildSkewed.
func Skewed(seconds int) string { return fmt.Sprintf("export %s=%d", SkewVariable, seconds) }
